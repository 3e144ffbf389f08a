--- Whether a value is an integer of the running Lua: the subtype where there is one, an integral number elsewhere.
return function(value)
  if math.type then return math.type(value) == "integer" end
  return type(value) == "number" and value % 1 == 0
end

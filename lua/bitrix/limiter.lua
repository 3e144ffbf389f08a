local M={}
function M.check() end
local L={acquire=function() return 0,{} end, observe=function() end}
function M.get() return L end
return M

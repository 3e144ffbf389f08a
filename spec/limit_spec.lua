-- The model of the portal's request counter, against a portal whose second begins nobody knows when. The clock is made.
local limit = require "bitrix.limit"

-- A small generator of our own: the same histories on every Lua.
local function generator(seed)
  local x = seed * 2654435761 % 4294967296
  return function()
    x = (x * 1103515245 + 12345) % 2147483648
    return x / 2147483648
  end
end

-- The portal: +1 a request, -rate at phase + k, above burst refused.
local function portal(burst, rate, phase, counts_refused)
  local level, ticks = 0, nil
  local self = { refused = 0 }
  function self.arrive(at)
    local now = math.floor(at - phase)
    if ticks and now > ticks then level = math.max(level - rate * (now - ticks), 0) end
    ticks = now
    if level + 1 > burst then
      self.refused = self.refused + 1
      if counts_refused then level = level + 1 end
      return false
    end
    level = level + 1
    return true
  end
  return self
end

-- Runs requests through limit.lua and the portal in the order of time. `requests`: list of the moments at which each is wanted.
local function run(options)
  local random, state = options.random, limit.new(options.burst, options.rate)
  local there = portal(options.burst, options.rate, options.phase, options.counts_refused)
  local events, outcomes = {}, {}
  local function add(at, kind, data)
    local i = #events + 1
    while i > 1 and events[i - 1].at < at do
      events[i] = events[i - 1]
      i = i - 1
    end
    events[i] = { at = at, kind = kind, data = data }
  end
  for i = #options.wanted, 1, -1 do add(options.wanted[i], "want", { wanted = options.wanted[i], index = i }) end
  for _, at in ipairs(options.others or {}) do add(at, "other", {}) end
  while #events > 0 do
    local event = table.remove(events)
    local now, r = event.at, event.data
    if event.kind == "other" then
      there.arrive(now)
      there.others = (there.others or 0) + 1
    elseif event.kind == "want" then
      local wait, number, epoch = limit.enter(state, now, options.most or math.huge)
      if not wait then
        outcomes[#outcomes + 1] = { gave_up = true, wait = number, at = now, index = r.index }
      else
        r.number, r.epoch = number, epoch
        if wait > 0 then add(now + wait, "wake", r) else add(now, "send", r) end
      end
    elseif event.kind == "wake" then
      local wait, epoch = limit.go(state, now, r.number, r.epoch)
      r.epoch = epoch
      if wait > 0 then add(now + wait, "wake", r) else add(now, "send", r) end
    elseif event.kind == "send" then
      r.sent = now
      add(now + random() * (options.delay or 0.3), "arrive", r)
    elseif event.kind == "arrive" then
      local before = there.refused
      local ok = there.arrive(now)
      r.refused_at = there.refused > before and now or nil
      add(now + random() * (options.delay or 0.3), ok and "done" or "no", r)
    elseif event.kind == "no" then
      limit.refused(state, now, r.number, r.epoch)
      outcomes[#outcomes + 1] = { refused = true, at = now, sent = r.sent, index = r.index }
      add(now, "want", { wanted = r.wanted, index = r.index })
    else
      outcomes[#outcomes + 1] = { at = now, sent = r.sent, wanted = r.wanted, index = r.index }
    end
  end
  return outcomes, there, state
end

describe("the limit", function()
  it("lets a burst out at once, and the rest at the portal's rate", function()
    for _, case in ipairs{ { 50, 2 }, { 250, 5 }, { 5, 1 }, { 1, 1 }, { 2, 2 }, { 10, 0.5 } } do
      local burst, rate = case[1], case[2]
      local state = limit.new(burst, rate)
      for i = 1, burst do assert.equal(0, (limit.enter(state, 1000.3, math.huge)), i) end
      local wait = limit.enter(state, 1000.3, math.huge)
      local least = math.ceil(1 / rate)
      assert.is_true(wait >= least and wait <= least + 0.65, wait)
    end
  end)

  it("knows buckets that are not full", function()
    local state = limit.new(5, 1)
    for _ = 1, 3 do limit.enter(state, 7, 0) end
    assert.equal(0, (limit.enter(state, 7, 0)))
  end)

  it("is never refused by a portal that it has for itself, in thousands of histories", function()
    local random = generator(42)
    for history = 1, 1500 do
      local burst = history % 3 == 0 and 250 or history % 3 == 1 and 50 or 1 + math.floor(random() * 20)
      local rate = burst == 250 and 5 or burst == 50 and 2 or 1 + math.floor(random() * 3)
      local wanted, at = {}, 100 + random() * 100
      for i = 1, 40 + math.floor(random() * 160) do
        -- Bursts, trickles and pauses.
        local dice = random()
        if dice < 0.1 then at = at + random() * 20 elseif dice < 0.4 then at = at + random() end
        wanted[i] = at
      end
      local outcomes, there = run{
        random = random, burst = burst, rate = rate, phase = random(), wanted = wanted, counts_refused = history % 2 == 0,
        delay = 0.25,
      }
      assert.equal(0, there.refused, "history " .. history)
      assert.equal(#wanted, #outcomes)
    end
  end)

  it("uses what is allowed: 100 calls from idle end within 1.5 s of (N - 50) / 2 s", function()
    local random = generator(7)
    for i = 1, 200 do
      local wanted, start = {}, 50 + random()
      for k = 1, 100 do wanted[k] = start end
      local outcomes, there = run{
        random = random, burst = 50, rate = 2, phase = random(), wanted = wanted, delay = 0.1, counts_refused = i % 2 == 0,
      }
      local last = 0
      for _, o in ipairs(outcomes) do last = math.max(last, o.at) end
      assert.equal(0, there.refused)
      assert.is_true(last - start <= 25 + 1.5, last - start)
    end
  end)

  it("keeps up the portal's rate through hours of traffic", function()
    local random = generator(3)
    local wanted = {}
    for k = 1, 10000 do wanted[k] = 10 end
    local outcomes, there = run{ random = random, burst = 50, rate = 2, phase = 0.77, wanted = wanted, delay = 0.2 }
    local last = 0
    for _, o in ipairs(outcomes) do last = math.max(last, o.at) end
    assert.equal(0, there.refused)
    assert.is_true(last - 10 <= (10000 - 50) / 2 + 1.5)
  end)

  it("serves in the order of arrival", function()
    local random = generator(11)
    for _ = 1, 200 do
      local wanted, at = {}, 5
      for i = 1, 120 do
        at = at + random() * 0.3
        wanted[i] = at
      end
      local outcomes = run{ random = random, burst = 10, rate = 2, phase = random(), wanted = wanted, delay = 0.05 }
      local sent = {}
      for _, o in ipairs(outcomes) do sent[o.index] = o.sent end
      for i = 2, 120 do assert.is_true(sent[i] >= sent[i - 1] - 1e-9, i) end
    end
  end)

  it("gives up at once what would wait too long, says how long, and takes no place for it", function()
    local state = limit.new(2, 1)
    limit.enter(state, 10, 0)
    limit.enter(state, 10, 0)
    local wait, needed = limit.enter(state, 10, 0.5)
    assert.is_nil(wait)
    assert.is_true(needed > 0.5 and needed < 2)
    for _ = 1, 100 do limit.enter(state, 10, 0.5) end
    local later, still = limit.enter(state, 10, 0.5)
    assert.is_nil(later)
    assert.equal(needed, still)
  end)

  it("is refused at most once a second when somebody else uses the portal, after the first time", function()
    local random = generator(99)
    for history = 1, 300 do
      local wanted, others = {}, {}
      for k = 1, 60 do wanted[k] = 100 + k * 0.05 end
      -- The other one takes everything there is, for 40 s.
      local at = 90
      for k = 1, 400 do
        at = at + random() * 0.2
        others[k] = at
      end
      local outcomes, there = run{
        random = random, burst = 50, rate = 2, phase = random(), wanted = wanted, others = others, delay = 0.1,
        counts_refused = false,
      }
      assert.is_true(there.refused > 0)
      -- What was under way at the first refusal is not counted.
      local first, ours = nil, {}
      for _, o in ipairs(outcomes) do
        if o.refused then
          first = first or o.at
          if o.sent > first then ours[#ours + 1] = o.sent end
        end
      end
      table.sort(ours)
      for i = 2, #ours do assert.is_true(ours[i] - ours[i - 1] >= 0.5, "history " .. history) end
      -- Nobody starves: all are served when the other one has gone.
      local served = 0
      for _, o in ipairs(outcomes) do served = served + (o.refused and 0 or 1) end
      assert.equal(60, served)
      local per_second = {}
      for _, sent in ipairs(ours) do
        local second = math.floor(sent - first)
        per_second[second] = (per_second[second] or 0) + 1
      end
      for second, n in pairs(per_second) do assert.is_true(n <= 1, ("history %d: %d in second %d"):format(history, n, second)) end
    end
  end)

  it("goes through a text unchanged", function()
    local random = generator(5)
    local a, now = limit.new(50, 2), 1.7e9
    for i = 1, 500 do
      now = now + random() * 0.6
      local b = limit.unpack(limit.pack(a), 50, 2)
      local wait_a, number_a = limit.enter(a, now, 3)
      local wait_b, number_b = limit.enter(b, now, 3)
      assert.equal(wait_a, wait_b)
      assert.equal(number_a, number_b)
      if i % 97 == 0 then
        limit.refused(a, now, number_a, a.epoch)
      end
    end
    assert.is_nil(limit.unpack("", 50, 2))
    assert.is_nil(limit.unpack(limit.pack(a), 250, 5))
    assert.is_nil(limit.unpack("garbage 1 2", 50, 2))
  end)

  it("stays small", function()
    local state = limit.new(50, 2)
    local random, now = generator(1), 0
    for _ = 1, 20000 do
      now = now + random()
      limit.enter(state, now, 10)
    end
    assert.is_true(#state.young < 60)
    assert.is_true(#limit.pack(state) < 4000)
  end)
end)

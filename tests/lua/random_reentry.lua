-- SPDX-License-Identifier: BSD-3-Clause
-- Random calls, with handlers, finalisers, hooks and coroutines that make random calls in the middle of them. A block
-- must hold what was last written to it, whoever wrote it, and nothing is lost. The environment has ZMALLOC_SEED and
-- ZMALLOC_CALLS.
local zmalloc = require "zmalloc"

local seed = tonumber(os.getenv "ZMALLOC_SEED" or 1)
local most_calls = tonumber(os.getenv "ZMALLOC_CALLS" or 20000)
local deepest, most_blocks = 3, 12

-- The same numbers in every Lua.
local number = seed % 0x7FFFFFFF + 1
local function below(most)
   number = number * 48271 % 0x7FFFFFFF
   return number % most
end
local function one_of(list)
   return list[below(#list) + 1]
end

local calls, inside, depth, fault = 0, 0, 0, nil
local planned = setmetatable({}, {__tostring = function() return "planned" end})

local function note(problem)
   fault = fault or debug.traceback(tostring(problem), 2)
end

-- What calls may say: there is no memory, a handler has raised, the block is busy or was closed meanwhile.
local function is_expected(message)
   return message == planned or type(message) == "string" and
      (message:find "can't allocate a size of" or message:find "is a Block that is being resized"
       or message:find "is a closed Block" or message:find "was closed or resized by a finaliser"
       or message:find "'s' does not fit" or message:find "'n' is out of range")
end

local held = {}

local act_inside

local function finalised(at_end)
   if newproxy then
      local proxy = newproxy(true) -- luacheck: ignore 113
      getmetatable(proxy).__gc = at_end
      return proxy
   end
   return setmetatable({}, {__gc = at_end})
end

-- A callable that makes calls when it is called, and when it goes.
local function actor()
   local at_end = finalised(function() act_inside() end)
   return function()
      act_inside()
      if below(5) == 0 then
         error(planned)
      end
      return one_of {true, false, at_end}
   end
end

local sizes = {0, 1, 20, 100, 1000, 5000, 100000, 200000, 2 ^ 50}
local function size()
   return one_of(sizes)
end

local function is_open(one)
   local ok, message = pcall(function() return #one.block end)
   return ok or not message:find "is a closed Block"
end

-- Runs the function with nobody in the middle of it, as it notes what it does.
local quiet = false
local function quietly(f, ...)
   local was = quiet
   quiet = true
   local ok, problem = pcall(f, ...)
   quiet = was
   if not ok then
      error(problem, 0)
   end
end

-- Fills a block with a byte. Each change has a number: so a call can tell that others made one in the middle of it.
local function fill(one)
   quietly(function()
      local byte = string.char(below(256))
      one.block:set(1, byte:rep(#one.block))
      one.byte, one.changes = one.resizes == 0 and byte or nil, (one.changes or 0) + 1
   end)
end

local function check(one, most)
   quietly(function()
      local found = one.block:get(1, most)
      if one.byte and found ~= one.byte:rep(#found) then
         note "a block holds something else"
      end
   end)
end

local function some()
   local one = held[1] and one_of(held)
   return one and is_open(one) and one or nil
end

local function keep(block)
   if block then
      local one = {block = block, resizes = 0}
      if #held < most_blocks then
         held[#held + 1] = one
      end
      fill(one)
   end
end

local makers = {
   zmalloc.Block, function(n) return zmalloc.Block(n, 64) end, zmalloc.zmalloc, zmalloc.zcalloc, zmalloc.ztrymalloc,
   function(n) return (zmalloc.zmalloc_usable(n)) end, function(n) return zmalloc.zaligned_alloc(32, n) end,
   function(n) return zmalloc.zrealloc(nil, n) end,
}

local resizers = {
   function(block, n) block:resize(n) end, zmalloc.zrealloc, zmalloc.ztryrealloc, zmalloc.zrealloc_usable,
   zmalloc.ztryrealloc_usable,
}

local closers = {
   function(block) block:close() end, zmalloc.zfree, zmalloc.zfree_usable, zmalloc.zfree_no_tcache,
}

local function resize()
   local one = some()
   if not one then
      return
   end
   check(one)
   local before, changes, byte
   quietly(function()
      before, changes, byte = #one.block, one.changes, one.byte
      one.byte, one.resizes = nil, one.resizes + 1 -- until it is filled again, when all resizes are over
   end)
   local ok, problem = pcall(one_of(resizers), one.block, size())
   quietly(function()
      one.resizes = one.resizes - 1
      if not is_open(one) then
         return
      end
      one.byte = one.changes == changes and byte or nil
      check(one, math.min(before, #one.block))
      fill(one)
   end)
   if not ok then
      error(problem, 0)
   end
end

local act

local actions = {
   make = {6, function() keep(one_of(makers)(size())) end},
   resize = {10, resize},
   close = {3, function()
      local one = some()
      if one then
         check(one)
         one_of(closers)(one.block)
      end
   end},
   drop = {2, function()
      if held[1] then
         table.remove(held, below(#held) + 1)
      end
   end},
   write = {3, function()
      local one = some()
      if one then
         check(one)
         fill(one)
      end
   end},
   text = {1, function()
      local one = some()
      return one and tostring(one.block)
   end},
   ask = {1, function()
      one_of {zmalloc.used_memory, zmalloc.smaps, zmalloc.report, zmalloc.memory_limits, zmalloc.mappings,
              zmalloc.allocator_info, zmalloc.purge} ()
   end},
   set_handler = {2, function()
      local kind = below(4)
      local handler = kind > 0 and actor() or nil
      zmalloc.set_oom_handler(handler, below(10) < 7)
   end},
   set_limit = {2, function()
      local more = one_of {0, 1000, 150000}
      zmalloc.set_limit(more > 0 and zmalloc.used_memory() + more or nil)
   end},
   set_soft_limit = {1, function()
      local on = below(2) == 0
      zmalloc.set_soft_limit(on and zmalloc.used_memory() + 1000 or nil, on and actor() or nil, 0)
   end},
   make_garbage = {3, function()
      for _ = 1, 3 do
         finalised(function() act_inside() end)
      end
   end},
   collect = {2, function()
      collectgarbage(one_of {"collect", "step"})
   end},
   in_a_coroutine = {4, function()
      local thread = coroutine.create(function()
         act()
         coroutine.yield()
         act()
      end)
      coroutine.resume(thread)
      if below(2) == 0 then
         coroutine.resume(thread)
      end
   end},
   hook = {1, function()
      if below(2) == 0 then
         debug.sethook()
      else
         debug.sethook(function() pcall(act_inside) end, "", 500)
      end
   end},
}

local weighted = {}
local names = {}
for name in pairs(actions) do
   names[#names + 1] = name
end
table.sort(names)
for _, name in ipairs(names) do
   for _ = 1, actions[name][1] do
      weighted[#weighted + 1] = actions[name][2]
   end
end

-- One random call; what it may say is no fault.
function act()
   calls, depth = calls + 1, depth + 1
   local ok, message = pcall(one_of(weighted))
   depth = depth - 1
   if not ok and not is_expected(message) then
      note(message)
   end
end

-- In the middle of another call.
function act_inside()
   if depth < deepest and not quiet and not fault then
      inside = inside + 1
      for _ = 1, below(3) do
         act()
      end
   end
end

local before = zmalloc.used_memory()
while calls < most_calls and not fault do
   act()
end
debug.sethook()
depth = deepest -- finalisers have nothing more to do
for _, one in ipairs(held) do
   if is_open(one) then
      check(one)
   end
end
held = {}
zmalloc.set_oom_handler(nil)
zmalloc.set_limit(nil)
zmalloc.set_soft_limit(nil)
for _ = 1, 3 do
   collectgarbage()
end
if fault then
   error(("seed %d, call %d: %s"):format(seed, calls, fault), 0)
end
assert(zmalloc.used_memory() == before, "memory is lost")
print(("figure: %d random calls from Lua"):format(calls))
print(("figure: %d times in the middle of another call of Lua's"):format(inside))

-- SPDX-License-Identifier: BSD-3-Clause
-- Every argument of every call gets every value in tests/hostile.txt: it is served or refused, and nothing is lost.
-- With ZMALLOC_SHOW set, prints the table: for each value, how many of the calls that take an argument served it.
local support = require "support"
local zmalloc = require "zmalloc"

-- The list's calls and values, in its order.
local function read_list()
   local calls, values = {}, {}
   for line in io.lines(os.getenv "ZMALLOC_SOURCE" .. "/tests/hostile.txt") do
      local kind, language, rest = line:match "^(%l+) (%l+) (.*)$"
      if (language == "both" or language == "lua") and kind == "call" then
         local name, refused_as, words = rest:match "^(%S+) (%S+) ?(.*)$"
         local call = {name = name, refused_as = refused_as == "=" and name or refused_as, arguments = {}}
         for word in words:gmatch "%S+" do
            call.arguments[#call.arguments + 1] = word
         end
         calls[#calls + 1] = call
      elseif (language == "both" or language == "lua") and kind == "value" then
         local name, words = rest:match "^([^:]*):(.*)$"
         local value = {name = name, served = {}}
         for word, unsure in words:gmatch "([%w_]+)(%??)" do
            value.served[word] = unsure == "?" and "perhaps" or "surely"
         end
         values[#values + 1] = value
      end
   end
   return calls, values
end

local calls, values = read_list()

-- Is whatever it is asked for, and closes the Blocks of the same call on the way.
local function liar()
   local self = {victims = {}}
   local function lie()
      for _, block in ipairs(rawget(self, "victims")) do
         block:close()
      end
      return 8
   end
   local function text()
      lie()
      return "Rss"
   end
   return setmetatable(self, {
      __index = lie, __newindex = lie, __len = lie, __call = lie, __tostring = text, __concat = text, __unm = lie,
      __eq = lie, __lt = lie, __le = lie, __close = lie, __name = "zmalloc.Block", __metatable = "zmalloc.Block",
   })
end

local function nested()
   local innermost = {}
   for _ = 1, 10000 do
      innermost = {innermost}
   end
   return innermost
end

local deep, hundred = nested(), ("9"):rep(100 * 2^20)

local make = {
   ["nothing"] = function() return nil end,
   ["true"] = function() return true end,
   ["false"] = function() return false end,
   ["not a number"] = function() return 0 / 0 end,
   ["infinity"] = function() return math.huge end,
   ["minus infinity"] = function() return -math.huge end,
   ["whole float"] = function() return 2.0^3 end,
   ["fraction"] = function() return 1.5 end,
   ["minus one"] = function() return -1 end,
   ["minus 2^63"] = function() return math.mininteger or -2.0^63 end,
   ["2^53 + 1"] = function() return (math.tointeger and math.tointeger(2^53) or 2^53) + 1 end,
   ["2^63 - 1"] = function() return math.maxinteger or 2^53 end,
   ["2^63"] = function() return 2.0^63 end,
   ["2^64 - 1"] = function() return 2.0^64 - 2.0^11 end, -- as near as a float comes
   ["2^64"] = function() return 2.0^64 end,
   ["10^300"] = function() return 1e300 end,
   ["number in a string"] = function() return "8" end,
   ["hexadecimal in a string"] = function() return "0x10" end,
   ["empty string"] = function() return "" end,
   ["string with a NUL"] = function() return "Rss\0Pss" end,
   ["string that is no UTF-8"] = function() return "\255" end,
   ["100 MB"] = function() return hundred end,
   ["foreign userdata"] = function() return io.stdout end,
   ["closed block"] = function()
      local block = zmalloc.Block(10)
      block:close()
      return block
   end,
   ["open block"] = function() return zmalloc.Block(8) end,
   ["bare object"] = function() return {} end,
   ["class"] = function() return zmalloc.Block end,
   ["function"] = function() return print end,
   ["coroutine"] = function() return coroutine.create(function() end) end,
   ["module"] = function() return zmalloc end,
   ["nested deeply"] = function() return deep end,
   ["liar"] = liar,
}

local function constant(value)
   return function() return value end
end

local function spare()
   return zmalloc.Block(10)
end

-- What the other arguments are meanwhile.
local good = {
   size = constant(10), num = constant(2), extent = constant(10), good_size = constant(10), alignment = constant(64),
   block_alignment = constant(64), ptr = spare, self = spare, close = spare, libc_ptr = constant(nil),
   string = constant "text", field = constant "Rss", old_field = constant "Rss", field_or_none = constant "Rss",
   pid = constant(nil), old_pid = constant(nil), i = constant(1), enable = constant(false), switch = constant(false),
   time = constant(10000), handler = constant(nil), all_threads = constant(false), position = constant(1),
   walk = constant(false), limit = constant(0), any_limit = constant(nil), soft = constant(0),
   any_soft = constant(nil), hysteresis = constant(0), interval_ms = constant(0), seconds = constant(nil),
   blocks = function() return {} end, start = constant(0), max_us = constant(0), max_seconds = constant(nil),
   n = constant(1), byte = constant(1), text = constant "text", key = constant(1),
}

-- How errors call an argument, where that is not its name in the list.
local called = {
   extent = "size", good_size = "size", block_alignment = "alignment", libc_ptr = "ptr", old_field = "field",
   limit = "bytes", any_limit = "bytes", soft = "bytes", any_soft = "bytes",
   field_or_none = "field", old_pid = "pid", key = "i", position = "i", text = "s", byte = "value", close = "self",
}

-- What takes two arguments of the same kind, or one of two names.
local also = {switch = {"walk", "disable"}, time = {"dirty_ms", "muzzy_ms"}, seconds = {"interval"}}

local function use(call)
   if call.name == "track" then
      return function(all_threads) return zmalloc.track {all_threads = all_threads} end
   end
   if call.name == "report" then
      return function(pid, walk) return zmalloc.report {pid = pid, walk = walk} end
   end
   if call.name == "defrag" then
      return function(blocks, seconds, start)
         return zmalloc.defrag(blocks, {max_seconds = seconds, start = start})
      end
   end
   local method = call.name:match "^Block%.(.*)$"
   if method then
      return method:find "^__" and debug.getmetatable(spare())[method] or spare()[method]
   end
   return zmalloc[call.name]
end

-- A refusal names the call and one of its arguments, or what C's status says.
local function complains_well(message, call)
   if type(message) ~= "string" then
      return false
   end
   local text = message:sub(1, 1000)
   if text:sub(1, #call.refused_as + 2) ~= call.refused_as .. ": " then
      return false
   end
   for _, status in ipairs {"No such process", "Invalid argument", "no field", "not supported", "publishes no",
                          "can't allocate"} do
      if text:find(status, 1, true) then
         return true
      end
   end
   for _, argument in ipairs(call.arguments) do
      for _, name in ipairs(also[argument] or {called[argument] or argument}) do
         if text:find(("argument '%s'"):format(name), 1, true) then
            return true
         end
      end
   end
   return false
end

-- Undoes what a call that was served may have done to the process.
local function put_back()
   zmalloc.set_limit(nil)
   zmalloc.set_soft_limit(nil)
   zmalloc.set_oom_handler(nil)
   zmalloc.disable_thp(false)
   zmalloc.publish(false)
   pcall(zmalloc.background_thread, false)
   pcall(zmalloc.set_decay, 10000, 0)
end

-- Whether the call served it; or nil, and what is wrong with the refusal.
local function attempt(call, number, value)
   local arguments = {}
   for i, name in ipairs(call.arguments) do
      arguments[i] = good[name]()
   end
   arguments[number] = make[value.name]()
   if value.name == "liar" then
      for i, name in ipairs(call.arguments) do
         if i ~= number and (name == "ptr" or name == "self") then
            table.insert(rawget(arguments[number], "victims"), arguments[i])
         end
      end
   end
   local ok, result = pcall(use(call), table.unpack(arguments, 1, #call.arguments))
   if not ok and not complains_well(result, call) then
      return nil, tostring(result):sub(1, 200)
   end
   return ok and not (call.name:find "^ztry" and result == nil and value.name ~= "nothing")
end

describe("hostile values", function()
   local served, tried, wrong = {}, {}, {}

   local function complain(...)
      wrong[#wrong + 1] = ("%s, %s = %s: %s"):format(...)
   end

   local function try(call, number, value)
      local argument = call.arguments[number]
      local before = zmalloc.used_memory()
      local well, problem = attempt(call, number, value)
      put_back()
      if zmalloc.used_memory() ~= before and support.used() ~= before then
         complain(call.name, argument, value.name, "bytes are lost")
      end
      if problem then
         complain(call.name, argument, value.name, problem)
      elseif well and not value.served[argument] then
         complain(call.name, argument, value.name, "served")
      end
      local cell = value.name .. "/" .. argument
      tried[cell] = (tried[cell] or 0) + 1
      served[cell] = (served[cell] or 0) + (well and 1 or 0)
   end

   local function show()
      local all, well = 0, 0
      for cell, count in pairs(tried) do
         all, well = all + count, well + served[cell]
      end
      print(("\n%d calls, %d tries: %d served, the others refused"):format(#calls, all, well))
      for _, value in ipairs(values) do
         local cells = {}
         for argument in pairs(good) do
            local cell = value.name .. "/" .. argument
            if (served[cell] or 0) > 0 then
               cells[#cells + 1] = ("%s %d/%d"):format(argument, served[cell], tried[cell])
            end
         end
         table.sort(cells)
         print(("%-28s %s"):format(value.name, #cells > 0 and table.concat(cells, ", ") or "-"))
      end
   end

   it("are served or refused, and nothing is lost", function()
      support.used()
      for _, call in ipairs(calls) do
         for number in ipairs(call.arguments) do
            for _, value in ipairs(values) do
               try(call, number, value)
            end
         end
      end
      for _, value in ipairs(values) do
         for argument, how in pairs(value.served) do
            local cell = value.name .. "/" .. argument
            if how == "surely" and tried[cell] and served[cell] == 0 then
               complain("no call", argument, value.name, "served by none")
            end
         end
      end
      if os.getenv "ZMALLOC_SHOW" then
         show()
      end
      assert.equal("", table.concat(wrong, "\n"))
   end)

   it("are a list of every call, and of values that are known", function()
      local listed = {}
      for _, call in ipairs(calls) do
         listed[call.name] = true
         for _, name in ipairs(call.arguments) do
            assert.truthy(good[name], name)
         end
      end
      for name, value in pairs(zmalloc) do
         assert.equal(type(value) == "function" or nil, listed[name], name)
      end
      assert.equal(support.count(make), #values)
   end)

   local function use_with(call, surplus)
      local arguments = {}
      for i, name in ipairs(call.arguments) do
         arguments[i] = good[name]()
      end
      for i = 1, surplus do
         arguments[#call.arguments + i] = i
      end
      local count = surplus < 0 and 0 or #call.arguments + surplus
      local ok, message = pcall(use(call), table.unpack(arguments, 1, count))
      assert.is_true(ok or type(message) == "string", call.name)
   end

   it("may be too many, or too few", function()
      for _, call in ipairs(calls) do
         for _, surplus in ipairs {-1, 1, 200} do
            local before = support.used()
            use_with(call, surplus)
            put_back()
            assert.equal(before, support.used(), call.name)
         end
      end
   end)
end)

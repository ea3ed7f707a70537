-- SPDX-License-Identifier: BSD-3-Clause
-- Scopes: what was allocated and freed in them, to the byte.
local support = require "support"
local zmalloc = require "zmalloc"

local kinds = {
   ["of a thread"] = function() return zmalloc.track() end,
   ["of a thread, said so"] = function() return zmalloc.track {all_threads = false} end,
   ["of all threads"] = function() return zmalloc.track {all_threads = true} end,
}

local function numbers(t)
   return {t.allocated, t.freed, t.kept}
end

local function cost(...)
   local sum = 0
   for _, block in ipairs {...} do
      sum = sum + zmalloc.zmalloc_size(block)
   end
   return sum
end

describe("a scope", function()
   local before

   -- No Block is collected while a test runs, unless it says so.
   before_each(function()
      before = support.used()
      collectgarbage "stop"
   end)

   after_each(function()
      collectgarbage "restart"
      assert.equal(before, support.used())
   end)

   for kind, track in pairs(kinds) do
      it("keeps what its Blocks cost: " .. kind, function()
         local outside, kept, freed
         do
            local t = track()
            kept = {zmalloc.Block(0), zmalloc.Block(100), zmalloc.Block(4097, 64), zmalloc.Block(support.MiB)}
            local gone = zmalloc.Block(5000)
            freed = cost(gone)
            gone:close()
            t:stop()
            outside = t
         end
         local after = zmalloc.Block(10)
         assert.equal(10, #after)
         local all = cost(table.unpack(kept))
         assert.same({all + freed, freed, all}, numbers(outside))
         for _, number in ipairs(numbers(outside)) do
            assert.equal("integer", math.type(number))
         end
      end)

      it("tells so far, and then no more: " .. kind, function()
         local t = track()
         assert.same({0, 0, 0}, numbers(t))
         local block = zmalloc.Block(100)
         local size = cost(block)
         assert.same({size, 0, size}, numbers(t))
         block:close()
         assert.same({size, size, 0}, numbers(t))
         t:stop()
         local after = zmalloc.Block(1000)
         assert.equal(1000, #after)
         assert.same({size, size, 0}, numbers(t))
         t:stop()
         assert.same({size, size, 0}, numbers(t))
      end)

      it("may keep less than nothing: " .. kind, function()
         local block = zmalloc.Block(1000)
         local size = cost(block)
         local t = track()
         block:close()
         assert.same({0, size, -size}, numbers(t))
      end)
   end

   it("sees a resize as one freed and one allocated", function()
      local block = zmalloc.Block(100)
      local size = cost(block)
      local t = zmalloc.track()
      block:resize(5000)
      assert.same({cost(block), size, cost(block) - size}, numbers(t))
   end)

   it("may be in a scope", function()
      local outer = zmalloc.track()
      local first = zmalloc.Block(100)
      local first_size = cost(first)
      local inner, second
      do
         inner = zmalloc.track()
         second = zmalloc.Block(5000)
         inner:stop()
      end
      local third = zmalloc.Block(300)
      first:close()
      outer:stop()
      assert.same({cost(second), 0, cost(second)}, numbers(inner))
      assert.same({first_size + cost(second, third), first_size, cost(second, third)}, numbers(outer))
   end)

   it("sees what is collected in it", function()
      local size = cost(zmalloc.Block(1000))
      local t = zmalloc.track()
      collectgarbage()
      assert.same({0, size, -size}, numbers(t))
   end)

   it("counts no other value", function()
      local t = zmalloc.track()
      local text = ("x"):rep(100000)
      assert.equal(100000, #text)
      assert.same({0, 0, 0}, numbers(t))
   end)

   it("goes through coroutines", function()
      local t = zmalloc.track()
      local block = coroutine.wrap(function() return zmalloc.Block(100) end)()
      local seen = coroutine.wrap(function() return t.kept end)()
      assert.equal(cost(block), seen)
   end)

   it("has nothing to set, and nothing else", function()
      local t = zmalloc.track()
      for _, name in ipairs {"allocated", "freed", "kept", "stop", "nonsense", 1} do
         local message = support.message(function() t[name] = 1 end)
         assert.truthy(message:find(("track_spec.lua:%%d+: track: '%s' can't be set"):format(name)))
      end
      assert.is_nil(t.nonsense)
      assert.is_nil(t[1])
      assert.is_nil(t[nil])
      assert.equal("zmalloc.Track", getmetatable(t))
      assert.has_error(function() setmetatable(t, {}) end)
   end)

   it("is right where a total wraps", function()
      local read, limit = zmalloc.zmalloc_thread_allocated, 2.0 ^ support.output "getconf LONG_BIT"
      local totals = {limit - 4096, 8192} -- which a double can have
      zmalloc.zmalloc_thread_allocated = function() return table.remove(totals, 1) end
      local t = zmalloc.track()
      local allocated = t.allocated
      zmalloc.zmalloc_thread_allocated = read
      assert.equal(12288, allocated)
      assert.equal("integer", math.type(allocated))
   end)

   it("has options", function()
      for _, value in ipairs {0, 1, "all_threads", true, false, print, io.stdout} do
         support.refuses("track", "options", zmalloc.track, value)
      end
      for _, value in ipairs {0, 1, "yes", {}, print} do
         support.refuses("track", "all_threads", zmalloc.track, {all_threads = value})
      end
      for _, options in ipairs {{every_thread = true}, {true}, {all_threads = true, also = 1}, {[{}] = 1}} do
         support.refuses("track", "options", zmalloc.track, options)
      end
      assert.truthy(support.message(function() zmalloc.track(1) end):find "^.*track_spec.lua:%d+: track: ")
      local sly = setmetatable({}, {__index = error, __pairs = error})
      assert.same({0, 0, 0}, numbers(zmalloc.track(sly)))
      assert.same({0, 0, 0}, numbers(zmalloc.track {}))
      assert.same({0, 0, 0}, numbers(zmalloc.track(nil)))
   end)
end)

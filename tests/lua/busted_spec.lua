-- SPDX-License-Identifier: BSD-3-Clause
-- The helper for tests that must not keep memory.
local no_growth = require "zmalloc.busted"
local support = require "support"
local zmalloc = require "zmalloc"

local kept

local function keep(size)
   return function()
      kept = zmalloc.Block(size)
      local gone = zmalloc.Block(5000)
      gone:set(1, "x")
   end
end

describe("no_growth", function()
   after_each(function()
      kept = nil
   end)

   it("holds for a test that forgets, and for its garbage", no_growth(function()
      local block = zmalloc.Block(1000)
      block:set(1, "x")
      block:close()
      zmalloc.Block(1000):set(1, "x")
   end))

   it("passes arguments on", function()
      local seen
      no_growth(function(...) seen = {...} end)(1, "two")
      assert.same({1, "two"}, seen)
   end)

   it("fails a test that keeps a Block, and says how much", function()
      local message = support.message(no_growth(keep(1000)))
      local size = zmalloc.zmalloc_size(kept)
      local large = zmalloc.zmalloc_size(zmalloc.Block(5000))
      local expected = ("the test kept %d bytes in zmalloc Blocks, of 0 that it may: %d allocated, %d freed")
      assert.truthy(message:find(expected:format(size, size + large, large), 1, true), message)
   end)

   it("allows what the limit allows", function()
      no_growth(100000, keep(90000))()
      kept = nil
      assert.truthy(support.message(no_growth(10000, keep(90000))):find("of 10000 that it may", 1, true))
   end)

   it("lets the test's own error through", function()
      local problem = {}
      local ok, message = pcall(no_growth(function() error(problem) end))
      assert.is_false(ok)
      assert.equal(problem, message)
   end)

   it("refuses what is no test or no limit", function()
      support.refuses("no_growth", "test", no_growth)
      support.refuses("no_growth", "test", no_growth, 5, 5)
      for _, limit in ipairs {-1, 1.5, "1", {}} do
         support.refuses("no_growth", "limit", no_growth, limit, function() end)
      end
   end)
end)

-- SPDX-License-Identifier: BSD-3-Clause
-- Blocks that move to undo fragmentation: what comes back, and which stay where they are.
local support = require "support"
local zmalloc = require "zmalloc"

local jemalloc = os.getenv "ZMALLOC_ALLOCATOR" == "jemalloc"
local hardened = os.getenv "ZMALLOC_HARDENED" == "1"
local count = 4000

-- Blocks on pages that are three quarters empty, each with another text in it.
local function thin()
   local blocks, kept = {}, {}
   for i = 1, 4 * count do
      blocks[i] = zmalloc.Block(100)
      blocks[i]:set(1, tostring(i))
   end
   for i, block in ipairs(blocks) do
      if i % 4 == 0 then
         kept[i / 4] = block
      else
         block:close()
      end
   end
   zmalloc.purge()
   return kept
end

local function check(blocks)
   for i, block in ipairs(blocks) do
      local text = tostring(4 * i)
      assert.equal(text .. ("\0"):rep(100 - #text), block:get())
   end
end

local function close_all(blocks)
   for _, block in ipairs(blocks) do
      block:close()
   end
end

describe("defragmentation", function()
   it("is refused by who can't", function()
      if not jemalloc then
         assert.truthy(support.message(zmalloc.defrag, {}):find "^defrag: .*not supported")
         assert.truthy(support.message(zmalloc.defrag_hint, nil):find "^defrag_hint: .*not supported")
      end
   end)

   it("gives pages back", function()
      if jemalloc then
         local blocks = thin()
         local used, before = zmalloc.used_memory(), zmalloc.report()
         local hints, helped = zmalloc.zmalloc_defrag_hints(blocks), 0
         for i, hint in ipairs(hints) do
            assert.equal(hint, zmalloc.defrag_hint(blocks[i]))
            helped = helped + (hint and 1 or 0)
         end
         assert.equal(count, #hints)
         assert.is_true(helped > count / 2)
         local done = zmalloc.defrag(blocks)
         local after = zmalloc.report()
         assert.equal(count, done.position)
         assert.equal(count, done.asked)
         assert.equal(0, done.refused)
         assert.is_true(done.moved > count / 2 and done.moved < count)
         assert.equal(used, zmalloc.used_memory())
         if hardened then
            assert.equal(0, done.freed_bytes) -- the old places are quarantined
         else
            assert.is_true(done.freed_bytes > 500000)
            assert.equal(done.freed_bytes, before.active - after.active)
         end
         check(blocks)
         close_all(blocks)
      end
   end)

   it("goes by steps", function()
      if jemalloc then
         local blocks, start, asked, steps = thin(), 0, 0, 0
         while start < count do
            local done = zmalloc.defrag(blocks, {start = start, max_seconds = 0})
            assert.is_true(done.position > start)
            start, asked, steps = done.position, asked + done.asked, steps + 1
         end
         assert.equal(count, asked)
         assert.is_true(steps > count / 100)
         check(blocks)
         close_all(blocks)
      end
   end)

   it("leaves closed blocks, and moves one that is there twice as one", function()
      if jemalloc then
         local blocks = thin()
         local twice = {}
         for i, block in ipairs(blocks) do
            twice[2 * i - 1], twice[2 * i] = block, block
         end
         local used = zmalloc.used_memory()
         assert.equal(2 * count, zmalloc.defrag(twice).asked)
         assert.equal(used, zmalloc.used_memory())
         check(blocks)
         close_all(blocks)
         assert.equal(0, zmalloc.defrag(blocks).asked)
      end
   end)

   it("ends at what is no block", function()
      if jemalloc then
         local blocks = {zmalloc.Block(10), 7}
         for _, call in ipairs {zmalloc.defrag, zmalloc.zmalloc_defrag_hints} do
            local words = "argument 'blocks' must hold Blocks, and holds number at 2"
            assert.truthy(support.message(call, blocks):find(words, 1, true))
         end
         blocks[1]:close()
      end
   end)

   it("refuses other arguments", function()
      for _, blocks in ipairs {1, "blocks", true} do
         assert.truthy(support.message(zmalloc.defrag, blocks):find "^defrag: argument 'blocks' must be a table of")
      end
      for _, seconds in ipairs {-1, 0 / 0, -math.huge} do
         assert.truthy(support.message(zmalloc.defrag, {}, {max_seconds = seconds}):find "'max_seconds' must not be")
      end
      assert.truthy(support.message(zmalloc.defrag, {}, {start = -1}):find "^defrag: argument 'start'")
      assert.truthy(support.message(zmalloc.defrag, {}, {stop = 1}):find "has a field 'stop'")
   end)
end)

-- SPDX-License-Identifier: BSD-3-Clause
-- Variables that are <close>, which only 5.4 has.
local support = require "support"
local zmalloc = require "zmalloc"

describe("at the end of its variable's scope", function()
   local before

   before_each(function()
      before = support.used()
   end)

   after_each(function()
      assert.equal(before, support.used())
   end)

   it("a Block is freed", function()
      do
         local block <close> = zmalloc.Block(1000)
         assert.equal(1000, #block)
      end
      assert.equal(before, zmalloc.used_memory())
   end)

   it("a Block is freed by an error", function()
      pcall(function()
         local block <close> = zmalloc.Block(1000)
         error(#block)
      end)
      assert.equal(before, zmalloc.used_memory())
   end)

   it("a scope of memory tells no more", function()
      local outside, size
      do
         local t <close> = zmalloc.track()
         local block <close> = zmalloc.Block(100)
         size = zmalloc.zmalloc_size(block)
         outside = t
      end
      local after <close> = zmalloc.Block(1000)
      assert.equal(1000, #after)
      assert.same({size, size, 0}, {outside.allocated, outside.freed, outside.kept})
   end)

   it("a scope of memory tells no more after an error, which stays as it is", function()
      local outside, block
      local raised = {}
      local function work()
         local t <close> = zmalloc.track()
         outside = t
         block = zmalloc.Block(100)
         error(raised)
      end
      assert.is_true(rawequal(raised, support.message(work)))
      local after <close> = zmalloc.Block(1000)
      assert.equal(1000, #after)
      assert.equal(zmalloc.zmalloc_size(block), outside.kept)
   end)

   it("a Block may be closed by Lua's own end", function()
      local well, text = support.script [[
         local open <close> = zmalloc.Block(7)
         os.exit(#open == 7, true)
      ]]
      assert.is_true(well, text)
   end)
end)

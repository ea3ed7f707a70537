-- SPDX-License-Identifier: BSD-3-Clause
-- The most bytes in use that any reading found.
local support = require "support"
local zmalloc = require "zmalloc"

describe("the peak", function()
   local before

   before_each(function()
      before = support.used()
      zmalloc.reset_peak_memory()
   end)

   after_each(function()
      assert.equal(before, support.used())
   end)

   it("is what is in use, after a reset", function()
      local block = zmalloc.Block(support.MiB)
      local peak = before + zmalloc.zmalloc_size(block)
      assert.equal(peak, zmalloc.peak_memory())
      block:close()
      assert.equal(peak, zmalloc.peak_memory())
      zmalloc.reset_peak_memory()
      assert.equal(before, zmalloc.peak_memory())
   end)

   it("is found by every reading", function()
      for _, read in ipairs {zmalloc.used_memory, zmalloc.peak_memory, zmalloc.zmalloc_peak_memory} do
         zmalloc.reset_peak_memory()
         local block = zmalloc.Block(support.MiB)
         local size = zmalloc.zmalloc_size(block)
         assert.equal(before + size, read())
         block:close()
         assert.equal(before, zmalloc.used_memory())
         assert.equal(before + size, zmalloc.peak_memory())
      end
   end)

   it("is not seen where nobody reads", function()
      zmalloc.Block(support.MiB):close()
      assert.equal(before, zmalloc.peak_memory())
   end)
end)

-- SPDX-License-Identifier: BSD-3-Clause
-- 100,000 Blocks of every kind made and let go: used memory is back to the byte, and the process has not grown.
local support = require "support"
local zmalloc = require "zmalloc"

local cycles = 100000

local makers = {
   Block = function() return zmalloc.Block(100) end,
   ["Block, aligned"] = function() return zmalloc.Block(100, 64) end,
   zcalloc_num = function() return zmalloc.zcalloc_num(10, 10) end,
   zstrdup = function() return zmalloc.zstrdup "text" end,
}
for _, name in ipairs {
   "zmalloc", "ztrymalloc", "zmalloc_usable", "ztrymalloc_usable", "zmalloc_no_tcache", "zcalloc", "ztrycalloc",
   "zcalloc_usable", "ztrycalloc_usable",
} do
   makers[name] = function() return (zmalloc[name](100)) end
end
for _, name in ipairs {"zrealloc", "ztryrealloc", "zrealloc_usable", "ztryrealloc_usable"} do
   makers[name] = function() return (zmalloc[name](nil, 100)) end
end
for _, name in ipairs {"zaligned_alloc", "ztryaligned_alloc", "zaligned_alloc_usable", "ztryaligned_alloc_usable"} do
   makers[name] = function() return (zmalloc[name](64, 100)) end
end

-- By turns: most are forgotten or closed, some are freed otherwise.
local ends = {
   function() end,
   function(block) block:close() end,
   zmalloc.zfree,
   zmalloc.zfree_usable,
   zmalloc.zfree_no_tcache,
   function(block) zmalloc.zfree_with_size(block, block:usable()) end,
   function(block) zmalloc.zrealloc(block, 0) end,
   function(block) block:resize(300) end,
   function(block) return setmetatable({block}, {__gc = function(self) self[1]:close() end}) end,
   function(block)
      local holder = {block}
      holder[2] = holder
      return holder
   end,
}

local function churn(make, count)
   for _ = 1, count / #ends do
      for _, finish in ipairs(ends) do
         finish(make())
      end
   end
   return support.used()
end

describe("100,000 Blocks", function()
   for name, make in pairs(makers) do
      it("of " .. name, function()
         local before = support.used()
         churn(make, cycles / 2) -- until Lua's own heap is as large as it gets
         local resident = zmalloc.rss()
         assert.equal(before, churn(make, cycles))
         assert.is_true(zmalloc.rss() - resident < 6 * support.MiB)
      end)
   end
end)

-- SPDX-License-Identifier: BSD-3-Clause
-- Block: it owns its memory, and goes when it is let go.
local no_growth = require "zmalloc.busted"
local support = require "support"
local zmalloc = require "zmalloc"

local prefix = os.getenv "ZMALLOC_PREFIX" == "1" and 16 or 0

describe("a Block", function()
   local before

   before_each(function()
      before = support.used()
   end)

   after_each(function()
      assert.equal(before, support.used())
   end)

   it("is zero, whatever was there", no_growth(function()
      for _, size in ipairs {1, 24, 100, 5000, support.MiB} do
         for _ = 1, 20 do
            local block = zmalloc.Block(size)
            assert.is_true(block:get() == ("\0"):rep(size))
            block:set(1, ("\170"):rep(size))
            block:close()
         end
      end
   end))

   it("is counted to the byte", no_growth(function()
      local sum, blocks = 0, {}
      for i, size in ipairs {0, 1, 100, 4096, 3 * support.MiB} do
         blocks[i] = zmalloc.Block(size)
         assert.equal(blocks[i]:usable() + prefix, zmalloc.zmalloc_size(blocks[i]))
         sum = sum + zmalloc.zmalloc_size(blocks[i])
      end
      assert.equal(before + sum, zmalloc.used_memory())
      for _, block in ipairs(blocks) do
         block:close()
      end
      assert.equal(before, zmalloc.used_memory())
   end))

   it("is freed when it is forgotten", no_growth(function()
      zmalloc.Block(1000)
      assert.is_true(zmalloc.used_memory() > before)
      assert.equal(before, support.used())
   end))

   it("may be closed again", no_growth(function()
      local block = zmalloc.Block(10)
      block:close()
      block:close()
   end))

   it("may be empty", no_growth(function()
      for _, block in ipairs {zmalloc.Block(0), zmalloc.zmalloc(0), zmalloc.zrealloc(nil, 0)} do
         assert.equal(0, #block)
         assert.equal("", block:get())
         assert.equal("", tostring(block))
         assert.is_nil(block[1])
         block:set(1, "")
      end
   end))

   it("has bytes", no_growth(function()
      local block = zmalloc.Block(4)
      block[1] = 65
      block[2] = 255
      block[4.0] = 66.0
      assert.same({65, 255, 0, 66}, {block[1], block[2], block[3], block[4.0]})
      assert.equal("integer", math.type(block[1]))
      assert.equal("A\255\0B", tostring(block))
      for _, i in ipairs {0, 5, -1, math.maxinteger, math.mininteger} do
         assert.is_nil(block[i])
      end
      if support.has_integers then -- before, ipairs knows tables alone
         local bytes = {}
         for i, byte in ipairs(block) do
            bytes[i] = byte
         end
         assert.same({65, 255, 0, 66}, bytes)
      end
   end))

   it("has strings", no_growth(function()
      local block = zmalloc.Block(10)
      block:set(1, "abcdefghij")
      block:set(3, "\0\1")
      block:set(11, "")
      assert.equal("ab\0\1efghij", block:get())
      assert.equal("ghij", block:get(7))
      assert.equal("gh", block:get(7, 2))
      assert.equal("", block:get(7, 0))
      assert.equal("", block:get(11))
      assert.equal("ab\0\1efghij", block:get(nil, nil))
      assert.equal("ab\0\1efghij", tostring(block))
   end))

   it("is resized", no_growth(function()
      local block = zmalloc.Block(10)
      block:set(1, "0123456789")
      block:resize(5000)
      assert.equal("0123456789" .. ("\0"):rep(4990), block:get())
      block:resize(5)
      assert.equal("01234", block:get())
      block:resize(10)
      assert.equal("01234\0\0\0\0\0", block:get())
      block:resize(0)
      assert.equal("", block:get())
      block:resize(3)
      assert.equal("\0\0\0", block:get())
   end))

   it("is as it was when a resize fails", no_growth(function()
      local block = zmalloc.Block(10)
      block:set(1, "0123456789")
      assert.has_error(function() block:resize(support.huge) end)
      assert.has_error(function() zmalloc.zrealloc(block, support.huge) end)
      assert.is_nil(zmalloc.ztryrealloc(block, support.huge))
      assert.same({nil, 0}, {zmalloc.ztryrealloc_usable(block, support.huge)})
      assert.equal("0123456789", block:get())
   end))

   it("stays the same when it moves", no_growth(function()
      local block = zmalloc.zmalloc(10)
      block:set(1, "0123456789")
      assert.is_true(rawequal(block, zmalloc.zrealloc(block, 100000)))
      assert.equal(100000, #block)
      assert.equal("0123456789", block:get(1, 10))
      local same, usable = zmalloc.zrealloc_usable(block, 20)
      assert.is_true(rawequal(block, same))
      assert.equal(block:usable(), usable)
      assert.is_nil(zmalloc.zrealloc(block, 0))
      assert.has_error(function() return #block end)
   end))

   it("is extended to what may be used", no_growth(function()
      local block = zmalloc.zmalloc(1)
      local usable = block:usable()
      assert.is_true(rawequal(block, zmalloc.extend_to_usable(block, usable)))
      assert.equal(usable, #block)
      block[usable] = 1
      support.refuses("extend_to_usable", "size", zmalloc.extend_to_usable, block, usable + 1)
      assert.equal(0, #zmalloc.extend_to_usable(block, 0))
      assert.is_nil(zmalloc.extend_to_usable(nil, 0))
      support.refuses("extend_to_usable", "size", zmalloc.extend_to_usable, nil, 1)
   end))

   it("is aligned, and else as any", no_growth(function()
      for _, alignment in ipairs {1, 16, 64, 64.0, 4096, 0x200000} do
         for _, size in ipairs {1, 100, 5000} do
            local start = support.used()
            local plain, usable = zmalloc.zaligned_alloc_usable(alignment, size)
            local made = {
               zmalloc.Block(size, alignment), plain, zmalloc.zaligned_alloc(alignment, size),
               zmalloc.ztryaligned_alloc(alignment, size), (zmalloc.ztryaligned_alloc_usable(alignment, size)),
            }
            assert.equal(plain:usable(), usable)
            assert.equal(("\0"):rep(size), made[1]:get())
            local sum = 0
            for _, block in ipairs(made) do
               assert.equal(size, #block)
               block:set(1, ("x"):rep(size))
               zmalloc.extend_to_usable(block, block:usable())
               block[#block] = 1
               sum = sum + zmalloc.zmalloc_size(block)
            end
            assert.equal(start + sum, zmalloc.used_memory())
         end
      end
      local block = zmalloc.Block(100, 4096)
      block:set(1, ("x"):rep(100))
      block:resize(200)
      assert.equal(("x"):rep(100) .. ("\0"):rep(100), block:get())
      assert.equal(10, #zmalloc.Block(10, nil))
      assert.equal("", zmalloc.Block(0, 64):get())
   end))

   it("is zero when it is aligned, whatever was there", no_growth(function()
      for _ = 1, 20 do
         local block = zmalloc.Block(1000, 64)
         assert.equal(("\0"):rep(1000), block:get())
         block:set(1, ("\170"):rep(1000))
         block:close()
      end
   end))

   it("is freed with a size that it may have", no_growth(function()
      local function resized(block, size)
         block:resize(size)
         return block
      end
      -- How a block comes to be, and the least size that it may be freed with; without one, its usable size alone.
      local makers = {
         {function() return zmalloc.Block(100) end, 100},
         {function() return zmalloc.Block(0) end, 0},
         {function() return zmalloc.zcalloc_num(10, 10) end, 100},
         {function() return (zmalloc.zmalloc_usable(100)) end, 100},
         {function() return zmalloc.zstrdup("text") end, 5},
         {function() return zmalloc.zrealloc(nil, 100) end, 100},
         {function() return zmalloc.zrealloc(zmalloc.Block(5000), 100) end, 100},
         {function() return (zmalloc.ztryrealloc_usable(zmalloc.Block(100), 5000)) end, 5000},
         {function() return resized(zmalloc.Block(5000), 100) end, 100},
         {function() return resized(zmalloc.Block(100), 0) end, 0},
         {function() return zmalloc.extend_to_usable(zmalloc.Block(100), 5) end, 100},
         {function() return zmalloc.Block(100, 64) end},
         {function() return zmalloc.Block(100, 1) end},
         {function() return zmalloc.zaligned_alloc(4096, 100) end},
         {function() return zmalloc.ztryaligned_alloc(256, 100) end},
         {function() return (zmalloc.zaligned_alloc_usable(64, 1000)) end},
         {function() return (zmalloc.ztryaligned_alloc_usable(64, 1000)) end},
         {function() return zmalloc.extend_to_usable(zmalloc.Block(100, 4096), 5) end},
         {function() return zmalloc.zrealloc(zmalloc.Block(100, 4096), 50) end, 50},
         {function() return resized(zmalloc.Block(100, 4096), 5000) end, 5000},
      }
      for _, maker in ipairs(makers) do
         local make, least = table.unpack(maker)
         for share = 0, 2 do
            local block = make()
            local usable = block:usable()
            local smallest = least or usable
            for _, wrong in ipairs {smallest - 1, usable + 1, 2 * usable + 1, math.maxinteger} do
               support.refuses("zfree_with_size", "size", zmalloc.zfree_with_size, block, wrong)
            end
            assert.equal(usable, block:usable())
            zmalloc.zfree_with_size(block, smallest + math.floor((usable - smallest) * share / 2))
            assert.has_error(function() return #block end)
         end
         assert.equal(before, support.used())
      end
      zmalloc.zfree_with_size(nil, 0)
      zmalloc.zfree_with_size(nil, math.maxinteger)
   end))

   it("may be asked for with a good size", no_growth(function()
      for _, size in ipairs {0, 1, 24, 100, 4097, support.MiB} do
         local good = zmalloc.zmalloc_good_size(size)
         assert.is_true(size <= good and good <= zmalloc.Block(size):usable())
      end
   end))

   it("loses its whole pages to zmadvise_dontneed", no_growth(function()
      local page = tonumber(support.output "getconf PAGESIZE")
      local block = zmalloc.Block(64 * page)
      block:set(1, ("x"):rep(#block))
      zmalloc.zmadvise_dontneed(block)
      local lost, kept = block:get():gsub("x", "")
      assert.is_true(kept < 2 * page)
      assert.equal(("\0"):rep(#block - kept), lost)
   end))

   it("comes from a string, its NUL included", no_growth(function()
      assert.equal("text\0", zmalloc.zstrdup("text"):get())
      assert.equal("\255\254\0", zmalloc.zstrdup("\255\254"):get())
      assert.equal("\0", zmalloc.zstrdup(""):get())
      assert.is_nil(zmalloc.zstrdup(nil))
   end))
end)

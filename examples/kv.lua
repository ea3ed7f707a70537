-- SPDX-License-Identifier: BSD-3-Clause
-- The key-value store of kv.c in Lua. It loads 50 MiB of paragraphs, deletes nine of ten, and purges.
local zmalloc = require "zmalloc"

local ENOUGH <const> = 50 << 20

local function count(store)
   local n = 0
   for _ in pairs(store) do
      n = n + 1
   end
   return n
end

-- Every paragraph of a file.
local function read(path)
   local file <close> = assert(io.open(path))
   local paragraphs = {}
   for paragraph in (file:read("a") .. "\n\n"):gmatch("%s*(%S.-)\n%s*\n") do
      paragraphs[#paragraphs + 1] = paragraph
   end
   return paragraphs
end

-- Makes every paragraph a value. The texts are loaded again and again until there is enough.
local function load_all(store, texts)
   local number = 0
   while zmalloc.used_memory() < ENOUGH do
      for _, paragraphs in ipairs(texts) do
         number = number + 1
         for i, paragraph in ipairs(paragraphs) do
            local block = zmalloc.Block(#paragraph)
            block:set(1, paragraph)
            store[number .. "." .. i] = block
         end
      end
      if next(store) == nil then
         error("there is nothing in these texts", 0)
      end
   end
end

-- Deletes all but each tenth, so that the blocks left are strewn over all pages.
local function thin_out(store)
   local seen = 0
   for key, block in pairs(store) do
      if seen % 10 ~= 0 then
         block:close()
         store[key] = nil
      end
      seen = seen + 1
   end
end

local function print_row(level, figure, name, difference)
   print(("%-20s%15s   %-25s%10s"):format(level, figure or "unknown", name, difference or "unknown"))
end

-- Prints where the memory is, in the words of Redis's INFO: levels, and what each adds to the level above it.
local function report(stage, store)
   local memory = zmalloc.report()
   local ratio = memory.mem_fragmentation_ratio
   print(("# %s: %d values"):format(stage, count(store)))
   print(("%-20s%15s"):format("used_memory", memory.used))
   print_row("allocator_allocated", memory.allocated, "allocator_overhead_bytes", memory.allocator_overhead_bytes)
   print_row("allocator_active", memory.active, "allocator_frag_bytes", memory.allocator_frag_bytes)
   print_row("allocator_resident", memory.resident, "allocator_rss_bytes", memory.allocator_rss_bytes)
   print_row("used_memory_rss", memory.rss, "rss_overhead_bytes", memory.rss_overhead_bytes)
   print_row("mem_allocator", zmalloc.allocator, "mem_fragmentation_ratio", ratio and ("%.2f"):format(ratio))
   print()
end

-- Lua can't list a folder; these are texts that every Debian machine has.
local texts = #arg > 0 and arg or {
   "/usr/share/common-licenses/Apache-2.0",
   "/usr/share/common-licenses/Artistic",
   "/usr/share/common-licenses/GPL-1",
   "/usr/share/common-licenses/GPL-2",
   "/usr/share/common-licenses/GPL-3",
   "/usr/share/common-licenses/LGPL-2.1",
   "/usr/share/common-licenses/MPL-2.0",
}

local store = {}
report("Empty", store)
local read_texts = {}
for i, path in ipairs(texts) do
   read_texts[i] = read(path)
end
load_all(store, read_texts)
report("Loaded", store)
thin_out(store)
report("Most deleted", store)
local returned = zmalloc.purge()
report("Purged", store)
print(("%-20s%15s\n"):format("bytes_returned", returned or "unknown"))

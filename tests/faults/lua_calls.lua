-- SPDX-License-Identifier: BSD-3-Clause
-- What the fault loops call: by name, a function that makes ready, and returns a function with its arguments.
local zmalloc = ...

local huge = 1 << 62

local function block()
   return zmalloc.zmalloc(100)
end

local function with_block(name, ...)
   local arguments = table.pack(...)
   return function()
      return zmalloc[name], block(), table.unpack(arguments, 1, arguments.n)
   end
end

local function plain(f, ...)
   local arguments = table.pack(...)
   return function()
      return f, table.unpack(arguments, 1, arguments.n)
   end
end

-- All that have no block among their arguments.
local arguments = {
   zmalloc = {100}, ztrymalloc = {100}, zmalloc_usable = {100}, ztrymalloc_usable = {100}, zmalloc_no_tcache = {100},
   zcalloc = {100}, zcalloc_num = {10, 10}, ztrycalloc = {100}, zcalloc_usable = {100}, ztrycalloc_usable = {100},
   zaligned_alloc = {64, 100}, ztryaligned_alloc = {64, 100}, zaligned_alloc_usable = {64, 100},
   ztryaligned_alloc_usable = {64, 100}, zstrdup = {"a string"}, zlibc_free = {nil, n = 1}, zmalloc_good_size = {100},
   zmalloc_used_memory = {}, zmalloc_total_allocated = {}, zmalloc_total_freed = {}, zmalloc_thread_allocated = {},
   zmalloc_thread_freed = {}, zmalloc_peak_memory = {}, zmalloc_reset_peak_memory = {},
   zmalloc_set_oom_handler = {nil, n = 1}, zmalloc_set_oom_retry_handler = {nil, n = 1}, zmalloc_set_limit = {0},
   zmalloc_limit = {}, zmalloc_set_soft_limit = {0, 0, nil, n = 3}, zmalloc_soft_limit = {}, zmalloc_get_rss = {},
   zmalloc_rss = {}, zmalloc_process_rss = {}, zmalloc_get_private_dirty = {}, zmalloc_private_dirty = {-1},
   zmalloc_get_smap_bytes_by_field = {"Rss:"}, zmalloc_smap_bytes_by_field = {"Rss", -1}, zmalloc_smaps = {},
   zmalloc_mappings = {}, zmalloc_get_memory_size = {}, zmalloc_memory_size = {}, zmalloc_memory_limits = {},
   zmalloc_memory_limit = {}, zmalloc_thp = {}, zmalloc_disable_thp = {false}, get_proc_stat_ll = {1},
   zmalloc_allocator = {}, zmalloc_get_allocator_info = {}, zmalloc_allocator_info = {}, set_jemalloc_bg_thread = {0},
   zmalloc_background_thread = {false}, zmalloc_background_thread_enabled = {}, zmalloc_decay = {},
   zmalloc_set_decay = {10000, 0}, jemalloc_purge = {}, zmalloc_purge = {}, zmalloc_report = {true}, Block = {100},
   zmalloc_publish = {false, 0}, zmalloc_published = {},
   -- What zmalloc.lua has.
   allocator_info = {}, background_thread = {}, decay = {}, disable_thp = {false}, good_size = {100}, limit = {},
   mappings = {}, memory_limit = {}, memory_limits = {}, memory_size = {}, private_dirty = {}, purge = {},
   publish = {false}, published = {},
   report = {{walk = true}}, rss = {}, set_decay = {10000, 0}, set_limit = {nil, n = 1},
   set_oom_handler = {print, true}, set_soft_limit = {nil, n = 1}, smaps = {}, soft_limit = {}, thp = {}, track = {},
}

local calls = {
   zrealloc = with_block("zrealloc", 5000),
   ztryrealloc = with_block("ztryrealloc", 5000),
   zrealloc_usable = with_block("zrealloc_usable", 5000),
   ztryrealloc_usable = with_block("ztryrealloc_usable", 5000),
   zfree = with_block "zfree",
   zfree_usable = with_block "zfree_usable",
   zfree_with_size = with_block("zfree_with_size", 100),
   zfree_no_tcache = with_block "zfree_no_tcache",
   zmalloc_size = with_block "zmalloc_size",
   zmalloc_usable_size = with_block "zmalloc_usable_size",
   extend_to_usable = with_block("extend_to_usable", 100),
   zmalloc_defrag_hint = with_block "zmalloc_defrag_hint",
   zmalloc_defrag_hints = function() return zmalloc.zmalloc_defrag_hints, {block(), block()} end,
   zmalloc_defrag = function() return zmalloc.zmalloc_defrag, {block(), block()}, 0, 0 end,
   defrag_hint = with_block "defrag_hint",
   defrag = function() return zmalloc.defrag, {block(), block()} end,
   zmadvise_dontneed = function() return zmalloc.zmadvise_dontneed, zmalloc.zmalloc(50000) end,

   ["a Block, aligned"] = plain(zmalloc.Block, 100, 256),
   ["a Block, too large"] = plain(zmalloc.Block, huge),
   ["a Block, negative"] = plain(zmalloc.Block, -1),
   ["a field that is none"] = plain(zmalloc.smaps, "Nonsense"),
   ["a field in small letters"] = plain(zmalloc.smaps, "rss"),
   ["a report of another process"] = plain(zmalloc.report, {pid = 1, walk = true}),
   ["a process that is none"] = plain(zmalloc.rss, -2),
   ["a Block's get"] = function() return block().get, block(), 3, 50 end,
   ["a Block's set"] = function() return block().set, block(), 3, "text" end,
   ["a Block's resize"] = function() return block().resize, block(), 5000 end,
   ["a Block's usable"] = function() return block().usable, block() end,
   ["a Block's close"] = function() return block().close, block() end,
   ["a Block's text"] = function() return tostring, zmalloc.zcalloc(5000) end,
   ["a Block's bytes"] = function()
      local kept = block()
      return function()
         kept[4] = 7
         return kept[4] + #kept
      end
   end,
   ["a handler that asks for memory"] = function()
      zmalloc.set_oom_handler(function(size)
         return zmalloc.Block(#("?"):rep(size & 0xFFF | 5000))
      end)
      return block().resize, block(), huge
   end,
   ["a handler that makes room"] = function()
      local kept
      zmalloc.set_oom_handler(function()
         local had = kept ~= nil
         kept = nil
         return had and {} ~= nil
      end, true)
      kept = zmalloc.Block(100)
      return block().resize, block(), huge
   end,
   ["a limit"] = function()
      zmalloc.set_limit(zmalloc.used_memory() + 1000)
      return zmalloc.Block, 5000
   end,
   ["a limit's scope"] = plain(function()
      local scope <close> = zmalloc.limit(huge)
      return zmalloc.Block(100), scope
   end),
   ["a soft limit"] = function()
      zmalloc.set_soft_limit(zmalloc.used_memory() + 1000, function(used)
         return tostring(used) .. " bytes are in use"
      end)
      return zmalloc.Block, 5000
   end,
   ["a scope"] = plain(function()
      local scope <close> = zmalloc.track {all_threads = true}
      zmalloc.Block(100):close()
      return scope.kept + scope.allocated
   end),
}

for name, of_call in pairs(arguments) do
   calls[name] = plain(zmalloc[name], table.unpack(of_call, 1, of_call.n or #of_call))
end

-- Names for what is among them.
local known = {}
for name in pairs(calls) do
   known[zmalloc[name] or name] = true
end
for name, value in pairs(zmalloc) do
   assert(type(value) ~= "function" or known[value], name)
end

return calls, function()
   zmalloc.set_oom_handler(nil)
   zmalloc.set_limit(nil)
   zmalloc.set_soft_limit(nil)
end

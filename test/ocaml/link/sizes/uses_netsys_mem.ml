let () =
  if Array.length Sys.argv > 9 then
    ignore (Netsys_mem.pool_alloc_memory Netsys_mem.default_pool)

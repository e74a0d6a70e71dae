let () = if Array.length Sys.argv > 9 then SharedMem.collect_full ()

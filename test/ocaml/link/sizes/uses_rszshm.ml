let () = if Array.length Sys.argv > 9 then ignore (Rszshm.make 1)

let () = if Array.length Sys.argv > 9 then ignore (Ancient.follow (Ancient.mark Sys.argv))

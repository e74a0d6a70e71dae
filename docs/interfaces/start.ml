let () = Sys.chdir (Filename.temp_dir "interfaces" "")

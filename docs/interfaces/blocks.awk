# The code blocks of interfaces, as one program. A block that is an expression (its first line ends
# with "in") is run where it stands; the others are definitions.
/^ *\{\[$/ { inside = 1; first = 1; printf "\n# %d \"%s\"\n", FNR + 1, FILENAME; next }
/^ *\]\}/ { if (inside) print close_with; inside = 0; blocks++; next }
inside {
  if (first) {
    expression = $0 ~ / in$/
    print expression ? "let () = begin" : ""
    close_with = expression ? "end" : ""
    printf "# %d \"%s\"\n", FNR, FILENAME
    first = 0
  }
  print
}
END { if (!blocks) exit 1 }

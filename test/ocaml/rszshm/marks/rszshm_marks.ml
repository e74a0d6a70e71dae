open Test_support

let counter = 0
let first = 8

let fill r mark bytes =
  let data = ref (Rszshm.data r) in
  let rec go () =
    let i = Rszshm.fetch_add r counter 1 in
    if i < bytes then begin
      while first + i >= Bigarray.Array1.dim !data do
        if Rszshm.capacity r <= first + i then ignore (Rszshm.grow r : bool);
        data := Rszshm.data r
      done;
      let found = !data.{first + i} in
      if found <> '\000' then Alcotest.failf "byte %d is %c already" i found;
      !data.{first + i} <- mark;
      go ()
    end
  in
  go ()

let check ?(drawers = 1) r bytes =
  ignore (Rszshm.update r : bool);
  check_int "numbers drawn" (bytes + drawers) (Rszshm.load r counter);
  let counts = Array.make 256 0 in
  let data = Rszshm.data r in
  for i = first to first + bytes - 1 do
    let mark = Char.code data.{i} in
    counts.(mark) <- counts.(mark) + 1
  done;
  check_int "bytes without a mark" 0 counts.(0);
  for i = first + bytes to Rszshm.capacity r - 1 do
    if data.{i} <> '\000' then Alcotest.failf "byte %d behind the end is marked" i
  done;
  String.concat ""
    (List.init 256 (fun c -> if counts.(c) = 0 then "" else String.make 1 (Char.chr c)))

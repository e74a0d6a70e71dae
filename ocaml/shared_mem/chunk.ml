open Words
include Writer

let prepare_map (size, write) f = (size, fun chunk -> f (write chunk))

let prepare_product (size1, write1) (size2, write2) =
  let write chunk =
    let x1 = write1 chunk in
    let x2 = write2 chunk in
    (x1, x2)
  in
  (size1 + size2, write)

module Prepare_syntax = struct
  let ( let+ ) = prepare_map
  let ( and+ ) = prepare_product
end

let prepare_const x = (0, fun _ -> x)

let prepare_opt prepare = function
  | None -> prepare_const None
  | Some x -> prepare_map (prepare x) Option.some

let prepare_all prepare xs =
  let preps = Array.map prepare xs in
  let size = Array.fold_left (fun sum (size, _) -> sum + size) 0 preps in
  (size, fun chunk -> Array.map (fun (_, write) -> write chunk) preps)

let prepare_iter prepare xs = prepare_map (prepare_all prepare xs) ignore
let write_header chunk kind size = of_int (begin_object chunk ~tag:(Kind.tag kind) ~size)

module Ancient = Ancient
module Rszshm = Rszshm
module SharedMem = SharedMem

module Ancient = Ancient
module Rszshm = Rszshm

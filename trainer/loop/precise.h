#pragma once

#include "comm/communicator.h"
#include "trainer/loop/session.h"

namespace lockstep {

// Makes the `precise` running statistics of the session's model, and of its average if there is one, for the
// weights as they are now: a forward pass over the first normalization.precise_batches batches of epoch 0 (at
// most an epoch's), without augmentation and dropout. A pure function of weights, seed and data, the same on
// any number of workers. Collective. Throws DivergedError alike on all workers; asked to stop meanwhile, an
// Error of code `stopped`.
void make_precise(Communicator& comm, Session& session);

}  // namespace lockstep

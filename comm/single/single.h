#pragma once

#include <memory>

#include "comm/communicator.h"

namespace lockstep {

// A job of one worker. Does the real thing: every collective copies what it would have received.
std::unique_ptr<Communicator> make_single();

}  // namespace lockstep

#pragma once

#include <functional>
#include <string_view>

#include "comm/communicator.h"
#include "trainer/data/meanwhile.h"

namespace lockstep {

// As `agree`, of work that may take one worker much longer than another, and longer than the timeout. It
// calls what it is given now and then; there the workers tell each other that they are still at it. A worker
// that does not for the timeout is given up (CommError). A failure of one worker, or a request to stop (an
// Error of code `stopped`), ends the work of all.
void agree_on_long_work(Communicator& comm, std::string_view name,
                        const std::function<void(const Meanwhile& meanwhile)>& work);

}  // namespace lockstep

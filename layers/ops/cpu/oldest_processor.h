#pragma once

namespace lockstep {

// A program that links this ends before its first constructor, with a message and code 2, on a processor
// older than what everything else is compiled for. The call itself does nothing: it makes the linker take the
// check along.
void require_processor();

}  // namespace lockstep

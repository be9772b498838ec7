#pragma once

namespace lockstep {

// Whether standard error ends on a terminal: its own, or that of an mpirun of this host that started this
// process and passes it on as it comes.
bool is_on_terminal();

}  // namespace lockstep

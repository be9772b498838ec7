#pragma once

namespace lockstep {

// All that the program `lockstep` does: runs the command that the command line names, and answers the exit
// code of the process. A `main` of another program may register layers of its own before
// (trainer/config/custom_layers.h).
int run_command_line(int argc, char** argv);

}  // namespace lockstep

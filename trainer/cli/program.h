#pragma once

#include <string>

// What the program is called in help and mistakes: "lockstep", unless it is somebody else's
// (docs/adding_a_layer.md).
namespace lockstep {

// path: as it was started (argv[0]).
void set_program_name(const std::string& path);
const std::string& program_name();

// Lines that call lockstep, as they are typed for this program.
std::string as_typed(const std::string& lines);

}  // namespace lockstep

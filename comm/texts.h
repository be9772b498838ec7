#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "comm/communicator.h"

namespace lockstep {

// Every worker's text, by rank. Collective, on the statistics lane.
std::vector<std::string> gather_texts(Communicator& comm, std::string_view name, const std::string& mine);

}  // namespace lockstep

#pragma once

#include <optional>

#include "trainer/config/schema.h"
#include "trainer/loop/setup.h"

namespace lockstep {

// What a data set's images and classes are, as far as that is known without its files.
std::optional<InputFacts> known_input(const DataConfig& config);

}  // namespace lockstep

#pragma once

#include "layers/model/custom_layer.h"

namespace lockstep {

// From now on lists of layers may hold layers of this type, beside those that come with lockstep. A program
// calls it in its `main`, before any configuration or checkpoint is read. Throws std::invalid_argument,
// saying what is wrong, where a word is none or is taken, a default is out of its range, or there is nothing
// that makes the layer.
void register_layer(CustomLayer type);

}  // namespace lockstep

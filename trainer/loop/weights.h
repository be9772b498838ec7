#pragma once

#include <string>

#include "layers/model/model.h"
#include "trainer/checkpoint/safetensors.h"

namespace lockstep {

// Brings the weights and running statistics of a file into the model, whoever wrote it: torchvision's state
// dict, or a file of ours, whose optimizer state and counters are passed over. Each entry of running
// statistics gets the file's own, else the file's primary ones; a `cumulative` one then counts from 0 again,
// so it averages what is to come. Throws DataError with all that is missing, unexpected or of another shape
// or type; then nothing was changed.
void load_weights(const SafetensorsFile& file, const std::string& name, Model& model);

}  // namespace lockstep

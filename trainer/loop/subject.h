#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "trainer/data/dataset.h"
#include "trainer/loop/inference.h"

namespace lockstep {

// What an evaluation is about: a model, and the data that it is judged by.
struct Subject {
  Trained trained;
  Datasets data;
};

// Opens a file that `train` wrote, which tells itself what it is, or one of another program with the same
// tensors (torchvision's state dict): model and data are then those of the file `config`, or of the defaults,
// with `settings` on top. The model computes in `precision`. Data are looked for as `data_path_of_run` has
// it. Throws DataError where file and data do not fit, with all that is missing, unexpected or of another
// shape; UsageError where a file that tells what it is gets a configuration besides.
Subject open_subject(const std::filesystem::path& file, const std::optional<std::string>& config,
                     std::span<const std::string> settings, Element precision = Element::f32);

}  // namespace lockstep

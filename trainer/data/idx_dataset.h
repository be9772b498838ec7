#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "trainer/data/dataset.h"

namespace lockstep {

// A folder of four files, each plain or with .gz behind its name (the plain one wins):
//   train-images-idx3-ubyte  train-labels-idx1-ubyte  t10k-images-idx3-ubyte  t10k-labels-idx1-ubyte
struct IdxFolder {
  std::filesystem::path path;
  std::optional<std::int64_t> classes;  // unknown: 1 + the largest label of the training set
  std::string remedy;                   // what to do where a file is missing
  std::int64_t max_mib = DataConfig().max_mib;
};

struct IdxDatasets {
  std::shared_ptr<const Dataset> train, test;
};

// Throws DataError: a file is missing or not as idx.h asks, numbers of images and labels differ, a label is
// out of range, or the shapes of training and test images differ.
IdxDatasets open_idx_folder(const IdxFolder& folder);

}  // namespace lockstep

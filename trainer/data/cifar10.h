#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/data/dataset.h"
#include "trainer/data/images_in_memory.h"

// CIFAR-10's binary version (A. Krizhevsky, https://www.cs.toronto.edu/~kriz/cifar.html). A file is one
// record after another of 3073 bytes: a label, 0 to 9, then 32 × 32 red values, row by row, as many green and
// blue. A file of another length, or with another label, is refused with a DataError that names it, what was
// found and what was expected.
namespace lockstep {

// Images of 32x32x3, colors together in each pixel, and their labels.
struct Cifar10Images {
  ImageArray images{.count = 0, .shape = {32, 32, 3}, .pixels = {}};
  std::vector<std::uint8_t> labels;
};

// Appends a file's records; `name` is what messages call it. On an error `to` is as it was.
void parse_cifar10(std::span<const std::uint8_t> file, const std::string& name, Cifar10Images& to);

// Of batches.meta.txt: ten names, one a line, and empty lines behind them.
std::vector<std::string> parse_cifar10_names(std::string_view text, const std::string& name);

struct Cifar10Datasets {
  std::shared_ptr<const Dataset> train, test;
  std::vector<std::string> class_names;
};

// A folder of data_batch_1.bin … data_batch_5.bin, which are the training set, and test_batch.bin, with any
// number of records each. Class names are batches.meta.txt's, or CIFAR-10's where there is no such file.
// Throws DataError as above, and naming every file that is missing.
Cifar10Datasets open_cifar10_folder(const std::filesystem::path& folder);

}  // namespace lockstep

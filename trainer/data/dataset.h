#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "layers/tensor/shape.h"
#include "trainer/config/schema.h"
#include "trainer/data/images/region.h"
#include "trainer/data/meanwhile.h"

namespace lockstep {

// Labelled images. `get` is const, so threads may call it at once.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual std::int64_t size() const = 0;
  virtual SampleShape shape() const = 0;
  virtual std::int64_t classes() const = 0;
  // Raw pixels 0 … 255 of sample `index`, height × width × channels, into `pixels`; its label is the answer.
  virtual std::int32_t get(std::int64_t index, std::span<std::uint8_t> pixels) const = 0;
  // The same of a region of the picture that the sample was made from, scaled to `shape`.
  virtual std::int32_t get_region(std::int64_t index, const ChooseRegion& choose,
                                  std::span<std::uint8_t> pixels) const;
  // A hash of what makes sample `index`, its label included, that goes on from `before`. Of its pixels,
  // unless all of them would take too long to read.
  virtual std::uint64_t hash(std::int64_t index, std::uint64_t before) const;

 protected:
  // What every `get` asks of its caller; throws std::logic_error.
  void check_get(std::int64_t index, std::span<const std::uint8_t> pixels) const;
};

// What a run reads. `validation` is null without data.validation, unless the data set has one of its own.
struct Datasets {
  std::shared_ptr<const Dataset> train, validation, test;
  std::vector<std::string> class_names;  // "0", "1", … where the data set has none
  std::vector<std::string> skipped;      // what is wrong with each image that was left out
};

// Opens what the configuration names. The validation split is the same pure function of the seed on every
// worker: floor(data.validation × size) samples of the training set, in the data set's order. Throws
// DataError naming the file, what is wrong with it, and what was expected.
Datasets open_datasets(
    const DataConfig& config, std::uint64_t seed, const Meanwhile& meanwhile = [] {});

// Images without labels, of one file, for inference: classes() is 0 and every label is -1. Those of an IDX
// file as they are; a picture (PNG or JPEG, told by its content) as one image that is made to fit `shape`, as
// `fit` has it. Throws DataError.
std::shared_ptr<const Dataset> read_images(const std::filesystem::path& path, const SampleShape& shape,
                                           std::int64_t max_mib, double kept = 1);

// A subset of another data set: sample i is `parent`'s indices[i].
std::shared_ptr<const Dataset> make_subset(std::shared_ptr<const Dataset> parent,
                                           std::vector<std::int64_t> indices);

}  // namespace lockstep

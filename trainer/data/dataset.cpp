#include "trainer/data/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "comm/base/error.h"
#include "comm/base/hash.h"
#include "layers/tensor/random.h"
#include "trainer/data/cifar10.h"
#include "trainer/data/idx.h"
#include "trainer/data/idx_dataset.h"
#include "trainer/data/image_folder.h"
#include "trainer/data/images/fit.h"
#include "trainer/data/images/picture.h"
#include "trainer/data/images_in_memory.h"
#include "trainer/data/sampler.h"
#include "trainer/data/synthetic.h"

namespace lockstep {
namespace {

class Subset : public Dataset {
 public:
  Subset(std::shared_ptr<const Dataset> parent, std::vector<std::int64_t> indices)
      : parent_(std::move(parent)), indices_(std::move(indices)) {}

  std::int64_t size() const override { return std::ssize(indices_); }
  SampleShape shape() const override { return parent_->shape(); }
  std::int64_t classes() const override { return parent_->classes(); }
  std::int32_t get(std::int64_t index, std::span<std::uint8_t> pixels) const override {
    check_get(index, pixels);
    return parent_->get(parent_index(index), pixels);
  }
  std::int32_t get_region(std::int64_t index, const ChooseRegion& choose,
                          std::span<std::uint8_t> pixels) const override {
    check_get(index, pixels);
    return parent_->get_region(parent_index(index), choose, pixels);
  }
  std::uint64_t hash(std::int64_t index, std::uint64_t before) const override {
    return parent_->hash(parent_index(index), before);
  }

 private:
  std::int64_t parent_index(std::int64_t index) const { return indices_[static_cast<std::size_t>(index)]; }

  std::shared_ptr<const Dataset> parent_;
  std::vector<std::int64_t> indices_;
};

Datasets open_fashion_mnist(const DataConfig& config) {
  const std::string path = config.path.empty() ? "/usr/share/datasets/fashion-mnist" : config.path;
  auto [train, test] =
      open_idx_folder({path, 10,
                       "install the Debian package dataset-fashion-mnist, or set data.path to "
                       "the folder that has Fashion-MNIST's files",
                       config.max_mib});
  return {train,
          nullptr,
          test,
          {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
           "Ankle boot"},
          {}};
}

// Of a data set that has no place of its own; throws UsageError where there is none.
const std::string& required_path(const DataConfig& config, const char* dataset) {
  if (!config.path.empty()) return config.path;
  throw UsageError(fmt::format("data.dataset is {}: set data.path to the folder of its files", dataset));
}

Datasets open_idx(const DataConfig& config) {
  auto [train, test] = open_idx_folder({required_path(config, "idx"), std::nullopt,
                                        "set data.path to the folder that has them", config.max_mib});
  return {train, nullptr, test, {}, {}};
}

Datasets open_cifar10(const DataConfig& config) {
  auto [train, test, names] = open_cifar10_folder(required_path(config, "cifar10"));
  return {train, nullptr, test, names, {}};
}

Datasets open_pictures(const DataConfig& config, const Meanwhile& meanwhile) {
  ImageFolderDatasets read = open_image_folder(required_path(config, "image_folder"), config, meanwhile);
  return {read.train, read.validation, read.test, std::move(read.class_names), std::move(read.skipped)};
}

Datasets open_synthetic(const SyntheticConfig& config) {
  constexpr std::int64_t first_of_test = std::int64_t{1} << 40;  // so neither set's size changes the other
  return {make_synthetic(config, 0, config.samples),
          nullptr,
          make_synthetic(config, first_of_test, config.test_samples),
          {},
          {}};
}

Datasets open_whole(const DataConfig& config, const Meanwhile& meanwhile) {
  switch (config.dataset) {
    case DataConfig::Dataset::fashion_mnist:
      return open_fashion_mnist(config);
    case DataConfig::Dataset::idx:
      return open_idx(config);
    case DataConfig::Dataset::cifar10:
      return open_cifar10(config);
    case DataConfig::Dataset::image_folder:
      return open_pictures(config, meanwhile);
    case DataConfig::Dataset::synthetic:
      return open_synthetic(config.synthetic);
  }
  throw std::logic_error("open_datasets: no such data set");
}

void split_validation(Datasets& datasets, double fraction, std::uint64_t seed) {
  if (datasets.validation) {
    throw UsageError(fmt::format(
        "data.validation is {}, but the data set has a validation set of its own: leave it at 0", fraction));
  }
  const std::int64_t size = datasets.train->size();
  const auto held = static_cast<std::int64_t>(std::floor(fraction * static_cast<double>(size)));
  if (held < 1 || held >= size) {
    throw DataError(
        fmt::format("data.validation: {} of {} training samples would leave {} for validation and {} for "
                    "training; each needs at least one",
                    fraction, size, held, size - held));
  }
  auto order = shuffled(Random(seed, "validation"), 0, size);
  const auto cut = order.begin() + held;
  std::sort(order.begin(), cut);
  std::sort(cut, order.end());
  datasets.validation = make_subset(datasets.train, {order.begin(), cut});
  datasets.train = make_subset(datasets.train, {cut, order.end()});
}

std::vector<std::string> numbered(std::int64_t classes) {
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < classes; ++i) names.push_back(std::to_string(i));
  return names;
}

}  // namespace

void Dataset::check_get(std::int64_t index, std::span<const std::uint8_t> pixels) const {
  if (index < 0 || index >= size()) {
    throw std::out_of_range(fmt::format("sample {} of a data set of {}", index, size()));
  }
  if (std::cmp_not_equal(pixels.size(), shape().elements())) {
    throw std::invalid_argument(
        fmt::format("room for {} pixels, but an image has {}", pixels.size(), to_string(shape())));
  }
}

std::int32_t Dataset::get_region(std::int64_t index, const ChooseRegion& choose,
                                 std::span<std::uint8_t> pixels) const {
  const std::int32_t label = get(index, pixels);
  const Image whole{shape(), {pixels.begin(), pixels.end()}};
  const auto [height, width, channels] = whole.shape;
  std::ranges::copy(resized_cut(whole, choose(height, width), height, width).pixels, pixels.begin());
  return label;
}

std::uint64_t Dataset::hash(std::int64_t index, std::uint64_t before) const {
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(shape().elements()));
  const std::int32_t label = get(index, pixels);
  return hash64(std::as_bytes(std::span(&label, 1)), hash64(std::as_bytes(std::span(pixels)), before));
}

Datasets open_datasets(const DataConfig& config, std::uint64_t seed, const Meanwhile& meanwhile) {
  Datasets datasets = open_whole(config, meanwhile);
  if (datasets.class_names.empty()) datasets.class_names = numbered(datasets.train->classes());
  if (config.validation > 0) split_validation(datasets, config.validation, seed);
  return datasets;
}

std::shared_ptr<const Dataset> read_images(const std::filesystem::path& path, const SampleShape& shape,
                                           std::int64_t max_mib, double kept) {
  if (!is_picture(path)) return make_images_in_memory(read_idx_image_file(path, max_mib), {}, 0);
  Image image = fit(read_picture(path, max_mib), shape, path.string(), kept);
  return make_images_in_memory({1, image.shape, std::move(image.pixels)}, {}, 0);
}

std::shared_ptr<const Dataset> make_subset(std::shared_ptr<const Dataset> parent,
                                           std::vector<std::int64_t> indices) {
  const auto outside = [&](std::int64_t index) { return index < 0 || index >= parent->size(); };
  if (std::ranges::any_of(indices, outside))
    throw std::out_of_range("make_subset: an index outside of the parent");
  return std::make_shared<Subset>(std::move(parent), std::move(indices));
}

}  // namespace lockstep

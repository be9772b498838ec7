#include "trainer/data/idx_dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>
#include <vector>

#include "comm/base/error.h"
#include "trainer/data/idx.h"
#include "trainer/data/images_in_memory.h"

namespace lockstep {
namespace {

// One half of the folder: images and labels that belong together.
struct Half {
  std::filesystem::path image_file, label_file;
  ImageArray images;
  std::vector<std::uint8_t> labels;
};

// Where `name` lies, plain or packed; adds to `missing` if nowhere.
std::filesystem::path find_file(const std::filesystem::path& folder, const std::string& name,
                                std::vector<std::string>& missing) {
  std::error_code ignored;
  for (const char* ending : {"", ".gz"}) {
    auto file = folder / (name + ending);
    if (std::filesystem::exists(file, ignored)) return file;
  }
  missing.push_back((folder / name).string() + "[.gz]");
  return {};
}

Half find_half(const std::filesystem::path& folder, const std::string& name,
               std::vector<std::string>& missing) {
  Half half;
  half.image_file = find_file(folder, name + "-images-idx3-ubyte", missing);
  half.label_file = find_file(folder, name + "-labels-idx1-ubyte", missing);
  return half;
}

void read_half(Half& half, std::int64_t max_mib) {
  half.images = read_idx_image_file(half.image_file, max_mib);
  half.labels = read_idx_label_file(half.label_file, max_mib);
  if (std::cmp_not_equal(half.images.count, half.labels.size())) {
    throw DataError(fmt::format("{} has {} images, but {} has {} labels: they must be as many",
                                half.image_file.string(), half.images.count, half.label_file.string(),
                                half.labels.size()));
  }
}

void check_labels(const Half& half, std::int64_t classes) {
  const auto wrong = std::find_if(half.labels.begin(), half.labels.end(),
                                  [&](std::uint8_t label) { return label >= classes; });
  if (wrong == half.labels.end()) return;
  throw DataError(fmt::format("{}: sample {} has label {}, out of range: there are {} classes, 0 to {}",
                              half.label_file.string(), wrong - half.labels.begin(), *wrong, classes,
                              classes - 1));
}

void check_shapes(const Half& train, const Half& test) {
  if (train.images.shape == test.images.shape) return;
  throw DataError(fmt::format("{} has images of {}, but {} has images of {}: they must be alike",
                              train.image_file.string(), to_string(train.images.shape),
                              test.image_file.string(), to_string(test.images.shape)));
}

std::shared_ptr<const Dataset> in_memory(Half half, std::int64_t classes) {
  return make_images_in_memory(std::move(half.images), std::move(half.labels), classes);
}

}  // namespace

IdxDatasets open_idx_folder(const IdxFolder& folder) {
  std::vector<std::string> missing;
  Half train = find_half(folder.path, "train", missing);
  Half test = find_half(folder.path, "t10k", missing);
  if (!missing.empty()) {
    throw DataError(fmt::format("cannot find {}: {}", fmt::join(missing, ", "), folder.remedy));
  }
  read_half(train, folder.max_mib);
  read_half(test, folder.max_mib);
  check_shapes(train, test);
  const std::int64_t classes = folder.classes.value_or(1 + *std::ranges::max_element(train.labels));
  check_labels(train, classes);
  check_labels(test, classes);
  return {in_memory(std::move(train), classes), in_memory(std::move(test), classes)};
}

}  // namespace lockstep

#include "trainer/data/image_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <system_error>
#include <utility>

#include "comm/base/error.h"
#include "comm/base/hash.h"
#include "comm/base/text.h"
#include "trainer/checkpoint/whole_file.h"
#include "trainer/data/images/fit.h"
#include "trainer/data/images/picture.h"
#include "trainer/data/parallel.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

struct Picture {
  std::string path;  // below the folder of the data set
  std::int32_t label = 0;
};

class ImageFolder : public Dataset {
 public:
  ImageFolder(fs::path root, std::vector<Picture> pictures, std::int64_t classes, const DataConfig& config)
      : root_(std::move(root)),
        pictures_(std::move(pictures)),
        classes_(classes),
        shape_{config.image.height, config.image.width, config.image.channels},
        kept_(config.image.crop),
        max_mib_(config.max_mib) {}

  std::int64_t size() const override { return std::ssize(pictures_); }
  SampleShape shape() const override { return shape_; }
  std::int64_t classes() const override { return classes_; }

  std::int32_t get(std::int64_t index, std::span<std::uint8_t> pixels) const override {
    check_get(index, pixels);
    const fs::path file = path(index);
    return answer(index, fit(read_picture(file, max_mib_), shape_, file.string(), kept_), pixels);
  }

  std::int32_t get_region(std::int64_t index, const ChooseRegion& choose,
                          std::span<std::uint8_t> pixels) const override {
    check_get(index, pixels);
    return answer(index, read_region(path(index), max_mib_, choose, shape_), pixels);
  }

  // To read every file before every run would take too long: of a few, all over the set, the contents count
  // too.
  std::uint64_t hash(std::int64_t index, std::uint64_t before) const override {
    const Picture& of = picture(index);
    std::error_code error;
    const std::uint64_t bytes = fs::file_size(path(index), error);
    if (error) throw DataError(fmt::format("{}: {}", path(index).string(), error.message()));
    const std::uint64_t told = hash64(fmt::format("{}\n{}\n{}\n", of.path, of.label, bytes), before);
    constexpr std::int64_t most_read = 32;
    if (index % (size() / most_read + 1) != 0) return told;
    return hash64(read_whole_file(path(index)).all(), told);
  }

  const Picture& picture(std::int64_t index) const { return pictures_[static_cast<std::size_t>(index)]; }

 private:
  fs::path path(std::int64_t index) const { return root_ / picture(index).path; }

  std::int32_t answer(std::int64_t index, const Image& image, std::span<std::uint8_t> pixels) const {
    std::ranges::copy(image.pixels, pixels.begin());
    return picture(index).label;
  }

  fs::path root_;
  std::vector<Picture> pictures_;
  std::int64_t classes_;
  SampleShape shape_;
  double kept_;
  std::int64_t max_mib_;
};

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

bool has_name_of_picture(const fs::path& file) {
  std::string ending = file.extension().string();
  std::ranges::transform(ending, ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return ending == ".jpg" || ending == ".jpeg" || ending == ".png";
}

// Runs `look`; what the file system has against it is a DataError.
template <class Look>
void look_into(const fs::path& folder, const Look& look) {
  try {
    look();
  } catch (const fs::filesystem_error& error) {
    throw DataError(fmt::format("{}: cannot be read: {}", folder.string(), error.code().message()));
  }
}

std::vector<std::string> class_folders(const fs::path& folder) {
  std::vector<std::string> names;
  look_into(folder, [&] {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      std::string name = entry.path().filename().string();
      if (name.front() == '.' || !entry.is_directory()) continue;
      names.push_back(std::move(name));
    }
  });
  std::ranges::sort(names);
  return names;
}

// The pictures below a folder, by their paths from `root`.
std::vector<std::string> pictures_below(const fs::path& root, const fs::path& folder,
                                        const Meanwhile& meanwhile) {
  std::vector<std::string> paths;
  look_into(folder, [&] {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
      meanwhile();
      if (!has_name_of_picture(entry.path()) || entry.is_directory()) continue;
      paths.push_back(entry.path().lexically_relative(root).generic_string());
    }
  });
  std::ranges::sort(paths);
  return paths;
}

std::vector<std::string> read_classes(const fs::path& train) {
  std::vector<std::string> classes = class_folders(train);
  if (classes.empty()) {
    throw DataError(fmt::format("{}: has no folders; expected one for each class, with its pictures in it",
                                train.string()));
  }
  constexpr std::size_t longest = 256;
  for (const std::string& name : classes) {
    if (printable(name, longest) == name) continue;
    throw DataError(fmt::format("{}: the folder '{}' cannot name a class: it is no plain text",
                                train.string(), printable(name)));
  }
  return classes;
}

std::vector<Picture> read_half(const fs::path& root, const std::string& half,
                               const std::vector<std::string>& classes, const Meanwhile& meanwhile) {
  std::vector<Picture> pictures;
  for (const std::string& name : class_folders(root / half)) {
    const auto known = std::ranges::lower_bound(classes, name);
    const std::string folder = (root / half / name).string();
    if (known == classes.end() || *known != name) {
      throw DataError(fmt::format("{}: {} has no such class", folder, (root / "train").string()));
    }
    const auto label = static_cast<std::int32_t>(known - classes.begin());
    std::vector<std::string> paths = pictures_below(root, root / half / name, meanwhile);
    if (paths.empty()) {
      throw DataError(fmt::format("{}: has no picture (.jpg, .jpeg or .png)", folder));
    }
    for (std::string& path : paths) pictures.push_back({std::move(path), label});
  }
  if (pictures.empty()) {
    throw DataError(fmt::format("{}: has no folders; expected one for each class, with its pictures in it",
                                (root / half).string()));
  }
  return pictures;
}

// Leaves out what cannot be decoded, and tells why.
std::vector<Picture> without_corrupt(const ImageFolder& all, int threads, const Meanwhile& meanwhile,
                                     std::vector<std::string>& skipped) {
  std::vector<std::string> wrong(static_cast<std::size_t>(all.size()));
  std::vector<std::vector<std::uint8_t>> pixels(
      static_cast<std::size_t>(threads),
      std::vector<std::uint8_t>(static_cast<std::size_t>(all.shape().elements())));
  const auto decode = [&](std::size_t thread, std::int64_t index) {
    try {
      all.get(index, pixels[thread]);
    } catch (const DataError& error) {
      wrong[static_cast<std::size_t>(index)] = error.what();
    }
  };
  for_each_index(all.size(), threads, decode, meanwhile);
  std::vector<Picture> good;
  for (std::int64_t index = 0; index < all.size(); ++index) {
    std::string& what = wrong[static_cast<std::size_t>(index)];
    if (what.empty()) {
      good.push_back(all.picture(index));
    } else {
      skipped.push_back(std::move(what));
    }
  }
  return good;
}

class Opener {
 public:
  Opener(fs::path root, const DataConfig& config, const Meanwhile& meanwhile)
      : root_(std::move(root)),
        config_(config),
        meanwhile_(meanwhile),
        classes_(read_classes(require("train"))) {}

  ImageFolderDatasets open() {
    ImageFolderDatasets datasets;
    datasets.class_names = classes_;
    datasets.train = open_half("train", datasets.skipped);
    const bool has_test = is_folder(root_ / "test");
    if (!has_test) require("val", " nor test/");
    if (has_test && is_folder(root_ / "val")) datasets.validation = open_half("val", datasets.skipped);
    datasets.test = open_half(has_test ? "test" : "val", datasets.skipped);
    return datasets;
  }

 private:
  fs::path require(const char* half, const char* nor = "") const {
    if (is_folder(root_ / half)) return root_ / half;
    throw DataError(fmt::format(
        "{}: has no folder {}/{}: set data.path to the folder that has train/ and test/ (or val/), "
        "in each a folder for each class",
        root_.string(), half, nor));
  }

  std::shared_ptr<const Dataset> open_half(const std::string& half, std::vector<std::string>& skipped) const {
    const auto make = [&](std::vector<Picture> pictures) {
      return std::make_shared<ImageFolder>(root_, std::move(pictures), std::ssize(classes_), config_);
    };
    const auto all = make(read_half(root_, half, classes_, meanwhile_));
    if (config_.on_corrupt == DataConfig::OnCorrupt::fail) return all;
    const std::size_t first = skipped.size();
    auto good = make(without_corrupt(*all, config_.threads, meanwhile_, skipped));
    if (good->size() > 0) return good;
    throw DataError(fmt::format("{}: none of its {} pictures can be decoded; the first: {}",
                                (root_ / half).string(), all->size(), skipped[first]));
  }

  fs::path root_;
  const DataConfig& config_;
  const Meanwhile& meanwhile_;
  std::vector<std::string> classes_;
};

}  // namespace

ImageFolderDatasets open_image_folder(const fs::path& folder, const DataConfig& config,
                                      const Meanwhile& meanwhile) {
  return Opener(folder, config, meanwhile).open();
}

}  // namespace lockstep

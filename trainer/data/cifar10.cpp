#include "trainer/data/cifar10.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <system_error>
#include <utility>

#include "comm/base/error.h"
#include "comm/base/text.h"
#include "trainer/checkpoint/whole_file.h"

namespace lockstep {
namespace {

constexpr std::size_t classes = 10;
constexpr std::size_t channels = 3;
constexpr std::size_t plane = std::size_t{32} * 32;
constexpr std::size_t record = 1 + channels * plane;
constexpr std::size_t longest_name = 256;

constexpr std::array train_files{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                 "data_batch_4.bin", "data_batch_5.bin"};
constexpr auto test_file = "test_batch.bin";
constexpr auto names_file = "batches.meta.txt";

void check_records(std::span<const std::uint8_t> file, const std::string& name) {
  if (file.empty() || file.size() % record != 0) {
    throw DataError(fmt::format(
        "{}: has {} bytes: {} records of {} bytes (a label and 32x32x3 values) and {} bytes more; "
        "expected whole records, at least one",
        name, file.size(), file.size() / record, record, file.size() % record));
  }
  for (std::size_t begin = 0; begin < file.size(); begin += record) {
    if (file[begin] < classes) continue;
    throw DataError(fmt::format("{}: record {} has label {}, out of range: there are {} classes, 0 to {}",
                                name, begin / record, file[begin], classes, classes - 1));
  }
}

bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

void check_folder(const std::filesystem::path& folder) {
  std::vector<std::string> missing;
  const auto look_for = [&](const char* file) {
    if (!is_there(folder / file)) missing.push_back((folder / file).string());
  };
  for (const char* file : train_files) look_for(file);
  look_for(test_file);
  if (missing.empty()) return;
  throw DataError(fmt::format(
      "cannot find {}: set data.path to the folder that has the files of CIFAR-10's binary version "
      "(cifar-10-batches-bin)",
      fmt::join(missing, ", ")));
}

void read_file(const std::filesystem::path& path, Cifar10Images& to) {
  const FileBytes file = read_whole_file(path);
  parse_cifar10({reinterpret_cast<const std::uint8_t*>(file.contents.data()), file.bytes}, path.string(), to);
}

std::shared_ptr<const Dataset> in_memory(Cifar10Images from) {
  return make_images_in_memory(std::move(from.images), std::move(from.labels), classes);
}

std::vector<std::string> read_names(const std::filesystem::path& path) {
  if (is_there(path)) return parse_cifar10_names(read_whole_file(path).text(), path.string());
  return {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
}

}  // namespace

void parse_cifar10(std::span<const std::uint8_t> file, const std::string& name, Cifar10Images& to) {
  check_records(file, name);
  const std::size_t records = file.size() / record;
  std::vector<std::uint8_t>& pixels = to.images.pixels;
  pixels.reserve(pixels.size() + records * channels * plane);
  to.labels.reserve(to.labels.size() + records);
  for (std::size_t begin = 0; begin < file.size(); begin += record) {
    to.labels.push_back(file[begin]);
    const std::span planes = file.subspan(begin + 1, channels * plane);
    for (std::size_t i = 0; i < plane; ++i) {
      for (std::size_t channel = 0; channel < channels; ++channel) {
        pixels.push_back(planes[channel * plane + i]);
      }
    }
  }
  to.images.count += static_cast<std::int64_t>(records);
}

std::vector<std::string> parse_cifar10_names(std::string_view text, const std::string& name) {
  std::vector<std::string> names;
  bool ended = false;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) {
      ended = true;
      continue;
    }
    if (ended || names.size() == classes) {
      throw DataError(fmt::format("{}: '{}' stands behind {} names; expected {} names, one a line", name,
                                  printable(line), names.size(), classes));
    }
    if (printable(line, longest_name) != line) {
      throw DataError(fmt::format("{}: line {} is no name: '{}'", name, names.size() + 1, printable(line)));
    }
    names.emplace_back(line);
  }
  if (names.size() == classes) return names;
  throw DataError(fmt::format("{}: has {} names; expected {}, one a line", name, names.size(), classes));
}

Cifar10Datasets open_cifar10_folder(const std::filesystem::path& folder) {
  check_folder(folder);
  Cifar10Images train;
  for (const char* file : train_files) read_file(folder / file, train);
  Cifar10Images test;
  read_file(folder / test_file, test);
  return {in_memory(std::move(train)), in_memory(std::move(test)), read_names(folder / names_file)};
}

}  // namespace lockstep

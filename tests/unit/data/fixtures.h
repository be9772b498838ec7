#pragma once

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "comm/base/error.h"
#include "trainer/data/dataset.h"

namespace lockstep::testing {

using Bytes = std::vector<std::uint8_t>;

// An empty folder that goes away with the test.
class Folder {
 public:
  Folder() {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    path_ = std::filesystem::path(::testing::TempDir()) /
            (std::string("lockstep-") + test->test_suite_name() + "-" + test->name());
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// An IDX file's bytes: the magic number, the sizes, then whatever `values` are.
inline Bytes idx(std::uint32_t magic, const std::vector<std::uint32_t>& dims, const Bytes& values) {
  Bytes bytes;
  const auto put = [&](std::uint32_t word) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(word >> shift));
  };
  put(magic);
  for (const std::uint32_t dim : dims) put(dim);
  bytes.insert(bytes.end(), values.begin(), values.end());
  return bytes;
}

// `count` images of 2x3x1 whose pixels count up.
inline Bytes images(std::uint32_t count) {
  Bytes values;
  for (std::uint32_t i = 0; i < count * 6; ++i) values.push_back(static_cast<std::uint8_t>(i));
  return idx(0x803, {count, 2, 3}, values);
}
inline Bytes labels(const Bytes& values) {
  return idx(0x801, {static_cast<std::uint32_t>(values.size())}, values);
}

inline void write_plain(const std::filesystem::path& path, const Bytes& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  ASSERT_TRUE(file.flush()) << path;
}

inline Bytes read_plain(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_gzip(const std::filesystem::path& path, const Bytes& bytes) {
  gzFile file = gzopen(path.c_str(), "wb");
  ASSERT_NE(file, nullptr) << path;
  ASSERT_EQ(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())), static_cast<int>(bytes.size()));
  ASSERT_EQ(gzclose(file), Z_OK);
}

// The message of the E that `action` throws; a failed test if it throws none.
template <class E>
std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const E& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

inline Bytes pixels_of(const Dataset& dataset, std::int64_t index) {
  Bytes pixels(static_cast<std::size_t>(dataset.shape().elements()));
  dataset.get(index, pixels);
  return pixels;
}
inline std::int32_t label_of(const Dataset& dataset, std::int64_t index) {
  Bytes pixels(static_cast<std::size_t>(dataset.shape().elements()));
  return dataset.get(index, pixels);
}

// Images whose pixels are given by a function of (index, element); the label is index mod 7.
class FunctionDataset : public Dataset {
 public:
  using Pixel = std::function<std::uint8_t(std::int64_t index, std::int64_t element)>;
  FunctionDataset(std::int64_t size, SampleShape shape, Pixel pixel)
      : size_(size), shape_(shape), pixel_(std::move(pixel)) {}

  std::int64_t size() const override { return size_; }
  SampleShape shape() const override { return shape_; }
  std::int64_t classes() const override { return 7; }
  std::int32_t get(std::int64_t index, std::span<std::uint8_t> pixels) const override {
    check_get(index, pixels);
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = pixel_(index, static_cast<std::int64_t>(i));
    return static_cast<std::int32_t>(index % 7);
  }

 private:
  std::int64_t size_;
  SampleShape shape_;
  Pixel pixel_;
};

}  // namespace lockstep::testing

#pragma once

#include <gtest/gtest.h>
#include <png.h>

#include <cstdint>
#include <filesystem>
#include <vector>

namespace lockstep::testing {

// Of 4 rows and 5 columns, all of one gray.
inline void write_png(const std::filesystem::path& path, std::uint8_t gray) {
  std::filesystem::create_directories(path.parent_path());
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = 5;
  image.height = 4;
  image.format = PNG_FORMAT_GRAY;
  const std::vector<std::uint8_t> pixels(20, gray);
  ASSERT_NE(png_image_write_to_file(&image, path.c_str(), 0, pixels.data(), 0, nullptr), 0) << image.message;
}

// Another gray in a file of the same size.
inline void repaint(const std::filesystem::path& path, std::uint8_t gray) {
  const auto size = std::filesystem::file_size(path);
  write_png(path, gray);
  ASSERT_EQ(std::filesystem::file_size(path), size);
}

}  // namespace lockstep::testing

#include "trainer/data/cifar10.h"

#include <gmock/gmock.h>

#include "tests/unit/data/fixtures.h"

namespace lockstep::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::size_t plane = 1024;

// A record whose red, green and blue begin at three different values and count up.
Bytes record(std::uint8_t label, std::uint8_t red, std::uint8_t green, std::uint8_t blue) {
  Bytes bytes{label};
  for (const std::uint8_t first : {red, green, blue}) {
    for (std::size_t i = 0; i < plane; ++i) bytes.push_back(static_cast<std::uint8_t>(first + i));
  }
  return bytes;
}

Bytes joined(Bytes first, const Bytes& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

void write_folder(const Folder& folder) {
  for (std::uint8_t i = 1; i <= 5; ++i) {
    write_plain(folder / ("data_batch_" + std::to_string(i) + ".bin"), record(i, 10 * i, 0, 0));
  }
  write_plain(folder / "test_batch.bin", joined(record(9, 1, 2, 3), record(0, 4, 5, 6)));
}

std::string parse_error(const Bytes& file) {
  Cifar10Images read;
  std::string error = message_of<DataError>([&] { parse_cifar10(file, "a.bin", read); });
  EXPECT_EQ(read.images.count, 0);
  EXPECT_TRUE(read.labels.empty() && read.images.pixels.empty());
  return error;
}

std::string names_error(const std::string& text) {
  return message_of<DataError>([&] { parse_cifar10_names(text, "names"); });
}

DataConfig config_of(const Folder& folder) {
  DataConfig config;
  config.dataset = DataConfig::Dataset::cifar10;
  config.path = folder.path().string();
  return config;
}

std::string open_error(const Folder& folder) {
  return message_of<DataError>([&] { open_datasets(config_of(folder), 1); });
}

TEST(Cifar10, BringsTheColorsOfAPixelTogether) {
  Cifar10Images read;
  parse_cifar10(joined(record(3, 10, 20, 30), record(7, 40, 50, 60)), "a.bin", read);
  EXPECT_EQ(read.images.count, 2);
  EXPECT_EQ(read.images.shape, (SampleShape{32, 32, 3}));
  EXPECT_EQ(read.labels, (Bytes{3, 7}));
  ASSERT_EQ(read.images.pixels.size(), 2 * 3 * plane);
  for (std::size_t i = 0; i < plane; ++i) {
    const std::uint8_t* const pixel = read.images.pixels.data() + 3 * (plane + i);
    const auto up = static_cast<std::uint8_t>(i);
    EXPECT_EQ(Bytes(pixel, pixel + 3),
              (Bytes{static_cast<std::uint8_t>(40 + up), static_cast<std::uint8_t>(50 + up),
                     static_cast<std::uint8_t>(60 + up)}));
  }
}

TEST(Cifar10, AFolderHasFiveFilesToTrainOnAndOneToTest) {
  const Folder folder;
  write_folder(folder);
  const Datasets datasets = open_datasets(config_of(folder), 1);
  EXPECT_EQ(datasets.train->size(), 5);
  EXPECT_EQ(datasets.train->classes(), 10);
  EXPECT_EQ(datasets.test->size(), 2);
  EXPECT_EQ(label_of(*datasets.train, 3), 4);
  EXPECT_EQ(pixels_of(*datasets.train, 3).front(), 40);
  EXPECT_EQ(label_of(*datasets.test, 0), 9);
  EXPECT_THAT(datasets.class_names, ElementsAre("airplane", "automobile", "bird", "cat", "deer", "dog",
                                                "frog", "horse", "ship", "truck"));
}

TEST(Cifar10, ClassNamesAreThoseOfTheirFile) {
  const Folder folder;
  write_folder(folder);
  const std::string names = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj k\n\n";
  write_plain(folder / "batches.meta.txt", Bytes(names.begin(), names.end()));
  EXPECT_THAT(open_datasets(config_of(folder), 1).class_names,
              ElementsAre("a", "b", "c", "d", "e", "f", "g", "h", "i", "j k"));
}

TEST(Cifar10, NamesEveryMissingFile) {
  const Folder folder;
  write_folder(folder);
  std::filesystem::remove(folder / "data_batch_4.bin");
  std::filesystem::remove(folder / "test_batch.bin");
  EXPECT_THAT(open_error(folder),
              AllOf(HasSubstr((folder / "data_batch_4.bin").string()),
                    HasSubstr((folder / "test_batch.bin").string()), HasSubstr("data.path")));
}

TEST(Cifar10, AsksForItsPath) {
  DataConfig config;
  config.dataset = DataConfig::Dataset::cifar10;
  EXPECT_THAT(message_of<UsageError>([&] { open_datasets(config, 1); }),
              AllOf(HasSubstr("cifar10"), HasSubstr("data.path")));
}

TEST(Cifar10, RefusesAFileOfAnotherLength) {
  Bytes file = joined(record(1, 0, 0, 0), record(2, 0, 0, 0));
  file.pop_back();
  EXPECT_THAT(parse_error(file), AllOf(HasSubstr("a.bin: has 6145 bytes"),
                                       HasSubstr("1 records of 3073 bytes"), HasSubstr("3072 bytes more")));
  file.resize(2 * 3073 + 1);
  EXPECT_THAT(parse_error(file),
              HasSubstr("2 records of 3073 bytes (a label and 32x32x3 values) and 1 bytes more"));
  EXPECT_THAT(parse_error({}), HasSubstr("a.bin: has 0 bytes"));
}

TEST(Cifar10, RefusesALabelOutOfRangeAndSaysWhereItIs) {
  EXPECT_THAT(parse_error(joined(record(9, 0, 0, 0), record(10, 0, 0, 0))),
              HasSubstr("a.bin: record 1 has label 10, out of range: there are 10 classes, 0 to 9"));
}

TEST(Cifar10, NamesTheFileOfAFolderThatIsBroken) {
  const Folder folder;
  write_folder(folder);
  write_plain(folder / "data_batch_3.bin", Bytes(3072));
  EXPECT_THAT(open_error(folder), HasSubstr((folder / "data_batch_3.bin").string() + ": has 3072 bytes"));
  std::filesystem::remove(folder / "data_batch_3.bin");
  std::filesystem::create_directory(folder / "data_batch_3.bin");
  EXPECT_THAT(open_error(folder), HasSubstr((folder / "data_batch_3.bin").string()));
}

TEST(Cifar10, RefusesNamesThatAreNotTen) {
  EXPECT_THAT(names_error("a\nb\n"), HasSubstr("names: has 2 names; expected 10"));
  EXPECT_THAT(names_error(""), HasSubstr("has 0 names"));
  EXPECT_THAT(names_error("a\nb\n\nc\n"), HasSubstr("'c' stands behind 2 names"));
  EXPECT_THAT(names_error("a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk"), HasSubstr("'k' stands behind 10 names"));
  EXPECT_THAT(names_error("a\nb\x1b[2J\n"), HasSubstr("line 2 is no name: 'b?[2J'"));
  EXPECT_THAT(names_error(std::string(257, 'a') + "\n"), HasSubstr("line 1 is no name"));
}

TEST(Cifar10, AValidationSplitTakesItsShareOfAllFiles) {
  const Folder folder;
  write_folder(folder);
  DataConfig config = config_of(folder);
  config.validation = 0.4;
  const Datasets datasets = open_datasets(config, 1);
  ASSERT_EQ(datasets.validation->size(), 2);
  ASSERT_EQ(datasets.train->size(), 3);
  Bytes first;  // the first pixel of an image tells its file
  for (int i = 0; i < 2; ++i) first.push_back(pixels_of(*datasets.validation, i).front());
  for (int i = 0; i < 3; ++i) first.push_back(pixels_of(*datasets.train, i).front());
  EXPECT_THAT(first, ::testing::UnorderedElementsAre(10, 20, 30, 40, 50));
}

}  // namespace
}  // namespace lockstep::testing

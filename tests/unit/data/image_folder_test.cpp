#include "trainer/data/image_folder.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <turbojpeg.h>

#include "tests/unit/data/fixtures.h"
#include "tests/unit/data/pictures.h"
#include "trainer/data/transform.h"

namespace lockstep::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// So large that a small crop of it is decoded at a part of its size.
void write_jpeg(const std::filesystem::path& path, std::uint8_t red) {
  constexpr int side = 64;
  std::filesystem::create_directories(path.parent_path());
  Bytes pixels;
  for (int i = 0; i < side * side; ++i) {
    for (const std::uint8_t value : {red, std::uint8_t{0}, std::uint8_t{255}}) pixels.push_back(value);
  }
  tjhandle jpeg = tjInitCompress();
  unsigned char* memory = nullptr;
  unsigned long size = 0;  // NOLINT(google-runtime-int): as the library has it
  ASSERT_EQ(tjCompress2(jpeg, pixels.data(), side, 0, side, TJPF_RGB, &memory, &size, TJSAMP_444, 95, 0), 0);
  write_plain(path, Bytes(memory, memory + size));
  tjFree(memory);
  tjDestroy(jpeg);
}

// train: 2 of b, 1 of a, 3 of c; test: 1 of c, 1 of a
void write_folder(const Folder& folder) {
  write_png(folder / "train/b/1.png", 11);
  write_png(folder / "train/b/2.PNG", 12);
  write_png(folder / "train/a/x.png", 10);
  write_png(folder / "train/c/2.png", 22);
  write_png(folder / "train/c/1.png", 21);
  write_jpeg(folder / "train/c/below/3.jpeg", 200);
  write_png(folder / "test/c/1.png", 30);
  write_png(folder / "test/a/1.png", 31);
}

DataConfig config_of(const Folder& folder) {
  DataConfig config;
  config.dataset = DataConfig::Dataset::image_folder;
  config.path = folder.path().string();
  config.image = {.height = 3, .width = 3, .channels = 3, .crop = 1};
  return config;
}

std::string open_error(const DataConfig& config) {
  return message_of<DataError>([&] { open_datasets(config, 1); });
}

std::vector<std::pair<int, int>> labels_and_reds(const Dataset& dataset) {
  std::vector<std::pair<int, int>> all;
  for (std::int64_t i = 0; i < dataset.size(); ++i) {
    all.emplace_back(label_of(dataset, i), pixels_of(dataset, i).front());
  }
  return all;
}

TEST(ImageFolder, ClassesAreFoldersAndPicturesTheirFilesInOrder) {
  const Folder folder;
  write_folder(folder);
  write_plain(folder / "train/README", {'a'});
  write_plain(folder / "train/a/notes.txt", {'a'});
  std::filesystem::create_directory(folder / "train/.hidden");
  const Datasets datasets = open_datasets(config_of(folder), 1);
  EXPECT_THAT(datasets.class_names, ElementsAre("a", "b", "c"));
  EXPECT_EQ(datasets.train->shape(), (SampleShape{3, 3, 3}));
  EXPECT_EQ(datasets.train->classes(), 3);
  ASSERT_EQ(datasets.train->size(), 6);
  EXPECT_EQ(datasets.validation, nullptr);
  const auto train = labels_and_reds(*datasets.train);
  EXPECT_THAT(
      std::vector(train.begin(), train.begin() + 5),
      ElementsAre(std::pair(0, 10), std::pair(1, 11), std::pair(1, 12), std::pair(2, 21), std::pair(2, 22)));
  EXPECT_EQ(train[5].first, 2);
  EXPECT_NEAR(train[5].second, 200, 2);
  EXPECT_THAT(labels_and_reds(*datasets.test), ElementsAre(std::pair(0, 31), std::pair(2, 30)));
}

TEST(ImageFolder, ValTakesThePlaceOfAMissingTest) {
  const Folder folder;
  write_folder(folder);
  std::filesystem::rename(folder / "test", folder / "val");
  const Datasets datasets = open_datasets(config_of(folder), 1);
  EXPECT_EQ(datasets.test->size(), 2);
  EXPECT_EQ(datasets.validation, nullptr);
}

TEST(ImageFolder, ValBesideTestIsTheValidationSet) {
  const Folder folder;
  write_folder(folder);
  write_png(folder / "val/b/1.png", 40);
  DataConfig config = config_of(folder);
  const Datasets datasets = open_datasets(config, 1);
  EXPECT_EQ(datasets.test->size(), 2);
  EXPECT_THAT(labels_and_reds(*datasets.validation), ElementsAre(std::pair(1, 40)));
  config.validation = 0.5;
  EXPECT_THAT(message_of<UsageError>([&] { open_datasets(config, 1); }), HasSubstr("data.validation is 0.5"));
}

TEST(ImageFolder, AValidationSplitTakesItsShare) {
  const Folder folder;
  write_folder(folder);
  DataConfig config = config_of(folder);
  config.validation = 0.4;
  const Datasets datasets = open_datasets(config, 1);
  EXPECT_EQ(datasets.validation->size(), 2);
  auto all = labels_and_reds(*datasets.train);
  for (const auto& each : labels_and_reds(*datasets.validation)) all.push_back(each);
  EXPECT_THAT(
      all, ::testing::UnorderedElementsAreArray(labels_and_reds(*open_datasets(config_of(folder), 1).train)));
}

TEST(ImageFolder, SaysWhatIsMissing) {
  const Folder folder;
  EXPECT_THAT(open_error(config_of(folder)), AllOf(HasSubstr("no folder train/"), HasSubstr("data.path")));
  write_folder(folder);
  std::filesystem::remove_all(folder / "test");
  EXPECT_THAT(open_error(config_of(folder)), HasSubstr("val/ nor test/"));
  std::filesystem::create_directory(folder / "val");
  EXPECT_THAT(open_error(config_of(folder)), HasSubstr((folder / "val").string() + ": has no folders"));
  std::filesystem::create_directory(folder / "train/d");
  EXPECT_THAT(open_error(config_of(folder)), HasSubstr((folder / "train/d").string() + ": has no picture"));
  std::filesystem::remove_all(folder / "train");
  std::filesystem::create_directory(folder / "train");
  EXPECT_THAT(open_error(config_of(folder)), HasSubstr((folder / "train").string() + ": has no folders"));
}

TEST(ImageFolder, RefusesATestClassThatNobodyLearns) {
  const Folder folder;
  write_folder(folder);
  write_png(folder / "test/dog/1.png", 1);
  EXPECT_THAT(open_error(config_of(folder)),
              AllOf(HasSubstr((folder / "test/dog").string()), HasSubstr("no such class")));
}

TEST(ImageFolder, RefusesAClassNameThatNoTerminalShouldSee) {
  const Folder folder;
  write_folder(folder);
  write_png(folder / "train/\x1b[2J/1.png", 1);
  EXPECT_THAT(open_error(config_of(folder)), AllOf(HasSubstr("'?[2J'"), Not(HasSubstr("\x1b"))));
}

TEST(ImageFolder, NamesACorruptPictureWhenItIsRead) {
  const Folder folder;
  write_folder(folder);
  write_plain(folder / "train/b/2.PNG", {1, 2, 3});
  const Datasets datasets = open_datasets(config_of(folder), 1);
  ASSERT_EQ(datasets.train->size(), 6);
  const std::string error = message_of<DataError>([&] { pixels_of(*datasets.train, 2); });
  EXPECT_THAT(error, HasSubstr((folder / "train/b/2.PNG").string()));
  Bytes pixels(27);
  const auto whole = [](std::int64_t height, std::int64_t width) { return Region{0, 0, height, width}; };
  EXPECT_EQ(message_of<DataError>([&] { datasets.train->get_region(2, whole, pixels); }), error);
}

TEST(ImageFolder, LeavesCorruptPicturesOutAndNamesThem) {
  const Folder folder;
  write_folder(folder);
  write_plain(folder / "train/c/1.png", {1, 2, 3});
  write_plain(folder / "train/a/y.jpg", {0xFF, 0xD8, 0xFF});
  write_plain(folder / "test/c/2.png", {});
  DataConfig config = config_of(folder);
  config.on_corrupt = DataConfig::OnCorrupt::skip;
  for (const int threads : {1, 3}) {
    config.threads = threads;
    const Datasets datasets = open_datasets(config, 1);
    EXPECT_EQ(datasets.train->size(), 5);
    EXPECT_EQ(datasets.test->size(), 2);
    EXPECT_THAT(datasets.skipped, ElementsAre(HasSubstr((folder / "train/a/y.jpg").string()),
                                              HasSubstr((folder / "train/c/1.png").string()),
                                              HasSubstr((folder / "test/c/2.png").string())));
    EXPECT_EQ(label_of(*datasets.train, 3), 2);
    EXPECT_EQ(pixels_of(*datasets.train, 3).front(), 22);
  }
}

// So that whoever waits for them hears that it goes on.
TEST(ImageFolder, BetweenPicturesTheCallerIsAsked) {
  const Folder folder;
  write_folder(folder);
  int times = 0;
  const auto count = [&] { ++times; };
  DataConfig config = config_of(folder);
  const Datasets datasets = open_datasets(config, 1, count);
  EXPECT_GE(times, 8) << "while files are looked for";
  times = 0;
  measure_normalization(*datasets.train, 1, count);
  EXPECT_EQ(times, 6);
  config.on_corrupt = DataConfig::OnCorrupt::skip;
  times = 0;
  open_datasets(config, 1, count);
  EXPECT_GE(times, 16) << "and while they are decoded";
}

TEST(ImageFolder, RefusesAHalfOfWhichNothingIsLeft) {
  const Folder folder;
  write_folder(folder);
  DataConfig config = config_of(folder);
  config.on_corrupt = DataConfig::OnCorrupt::skip;
  for (const char* file : {"test/c/1.png", "test/a/1.png"}) write_plain(folder / file, {1});
  EXPECT_THAT(open_error(config),
              AllOf(HasSubstr("none of its 2 pictures can be decoded"), HasSubstr("test/a/1.png")));
}

TEST(ImageFolder, ARegionOfALargePictureComesFromASmallerDecoding) {
  const Folder folder;
  write_folder(folder);
  const auto train = open_datasets(config_of(folder), 1).train;
  Bytes pixels(27);
  Region asked;
  const auto choose = [&](std::int64_t height, std::int64_t width) {
    asked = {8, 16, height / 2, width / 2};
    return asked;
  };
  EXPECT_EQ(train->get_region(5, choose, pixels), 2);
  EXPECT_EQ(asked, (Region{8, 16, 32, 32}));  // of the whole picture
  for (std::size_t i = 0; i < pixels.size(); i += 3) {
    EXPECT_NEAR(pixels[i], 200, 3);
    EXPECT_NEAR(pixels[i + 1], 0, 3);
    EXPECT_NEAR(pixels[i + 2], 255, 3);
  }
}

TEST(ImageFolder, ItsHashTellsTheContentsOfSomePictures) {
  const Folder folder;
  write_folder(folder);
  for (int i = 0; i < 60; ++i) write_png(folder / fmt::format("train/a/{:02}.png", i), 10);
  const auto hash = [&](std::int64_t index) {
    return open_datasets(config_of(folder), 1).train->hash(index, 7);
  };
  const std::uint64_t before = hash(0);
  repaint(folder / "train/a/00.png", 11);
  EXPECT_NE(hash(0), before);
  const std::uint64_t second = hash(1);
  repaint(folder / "train/a/01.png", 11);
  EXPECT_EQ(hash(1), second) << "all are read";
}

TEST(ImageFolder, ItsHashTellsNamesLabelsAndSizes) {
  const Folder folder;
  write_folder(folder);
  const auto hash = [&] { return open_datasets(config_of(folder), 1).train->hash(1, 7); };
  const std::uint64_t before = hash();
  EXPECT_EQ(hash(), before);
  write_plain(folder / "train/b/1.png", {1, 2, 3});
  EXPECT_NE(hash(), before);
  write_png(folder / "train/b/1.png", 11);
  EXPECT_EQ(hash(), before);
  std::filesystem::rename(folder / "train/b/1.png", folder / "train/b/0.png");
  EXPECT_NE(hash(), before);
}

}  // namespace
}  // namespace lockstep::testing

#include "trainer/data/dataset.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "tests/unit/data/fixtures.h"

namespace lockstep::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* train_images = "train-images-idx3-ubyte";
constexpr const char* train_labels = "train-labels-idx1-ubyte";
constexpr const char* test_images = "t10k-images-idx3-ubyte";
constexpr const char* test_labels = "t10k-labels-idx1-ubyte";

void write_folder(const Folder& folder) {
  write_plain(folder / train_images, images(4));
  write_gzip(folder / (std::string(train_labels) + ".gz"), labels({2, 0, 1, 2}));
  write_gzip(folder / (std::string(test_images) + ".gz"), images(2));
  write_plain(folder / test_labels, labels({1, 0}));
}

DataConfig config_of(const Folder& folder, DataConfig::Dataset dataset = DataConfig::Dataset::idx) {
  DataConfig config;
  config.dataset = dataset;
  config.path = folder.path().string();
  return config;
}

std::string open_error(const DataConfig& config) {
  return message_of<DataError>([&] { open_datasets(config, 1); });
}

TEST(OpenDatasets, ReadsAnIdxFolderPlainAndPacked) {
  const Folder folder;
  write_folder(folder);
  const Datasets datasets = open_datasets(config_of(folder), 1);
  EXPECT_EQ(datasets.train->size(), 4);
  EXPECT_EQ(datasets.train->shape(), (SampleShape{2, 3, 1}));
  EXPECT_EQ(datasets.train->classes(), 3);
  EXPECT_EQ(label_of(*datasets.train, 3), 2);
  EXPECT_EQ(pixels_of(*datasets.train, 1), (Bytes{6, 7, 8, 9, 10, 11}));
  EXPECT_EQ(datasets.test->size(), 2);
  EXPECT_EQ(datasets.test->classes(), 3);
  EXPECT_EQ(label_of(*datasets.test, 0), 1);
  EXPECT_EQ(datasets.validation, nullptr);
  EXPECT_THAT(datasets.class_names, ElementsAre("0", "1", "2"));
}

TEST(OpenDatasets, FashionMnistHasTenNamedClassesWhateverItsLabels) {
  const Folder folder;
  write_folder(folder);
  const Datasets datasets = open_datasets(config_of(folder, DataConfig::Dataset::fashion_mnist), 1);
  EXPECT_EQ(datasets.train->classes(), 10);
  EXPECT_THAT(datasets.class_names, ElementsAre("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                                "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"));
}

TEST(OpenDatasets, NamesEveryMissingFile) {
  const Folder folder;
  write_folder(folder);
  std::filesystem::remove(folder / train_images);
  std::filesystem::remove(folder / test_labels);
  EXPECT_THAT(open_error(config_of(folder)),
              AllOf(HasSubstr((folder / train_images).string() + "[.gz]"),
                    HasSubstr((folder / test_labels).string()), HasSubstr("data.path")));
}

TEST(OpenDatasets, TellsWhichPackageHasFashionMnist) {
  const Folder folder;
  EXPECT_THAT(open_error(config_of(folder, DataConfig::Dataset::fashion_mnist)),
              AllOf(HasSubstr(train_images), HasSubstr("dataset-fashion-mnist"), HasSubstr("data.path")));
}

TEST(OpenDatasets, AsksForThePathOfAnIdxFolder) {
  DataConfig config;
  config.dataset = DataConfig::Dataset::idx;
  EXPECT_THAT(message_of<UsageError>([&] { open_datasets(config, 1); }), HasSubstr("data.path"));
}

TEST(OpenDatasets, RefusesUnequalNumbersOfImagesAndLabels) {
  const Folder folder;
  write_folder(folder);
  write_plain(folder / test_labels, labels({1, 0, 1}));
  EXPECT_THAT(open_error(config_of(folder)), AllOf(HasSubstr(test_images), HasSubstr("2 images"),
                                                   HasSubstr(test_labels), HasSubstr("3 labels")));
}

TEST(OpenDatasets, RefusesALabelOutOfRangeAndSaysWhereItIs) {
  const Folder folder;
  write_folder(folder);
  write_plain(folder / test_labels, labels({1, 3}));
  EXPECT_THAT(open_error(config_of(folder)), AllOf(HasSubstr(test_labels), HasSubstr("sample 1 has label 3"),
                                                   HasSubstr("3 classes, 0 to 2")));
  write_plain(folder / train_labels, labels({2, 0, 10, 2}));
  EXPECT_THAT(
      open_error(config_of(folder, DataConfig::Dataset::fashion_mnist)),
      AllOf(HasSubstr(train_labels), HasSubstr("sample 2 has label 10"), HasSubstr("10 classes, 0 to 9")));
}

TEST(OpenDatasets, RefusesTestImagesOfAnotherShape) {
  const Folder folder;
  write_folder(folder);
  write_plain(folder / test_images, idx(0x803, {2, 1, 3}, {1, 2, 3, 4, 5, 6}));
  EXPECT_THAT(open_error(config_of(folder)),
              AllOf(HasSubstr("2x3x1"), HasSubstr("1x3x1"), HasSubstr(test_images)));
}

TEST(OpenDatasets, ReadsOneFileOfImagesWithoutLabels) {
  const Folder folder;
  write_plain(folder / "some", images(3));
  const auto dataset = read_images(folder / "some", {}, 1);
  EXPECT_EQ(dataset->size(), 3);
  EXPECT_EQ(dataset->classes(), 0);
  EXPECT_EQ(label_of(*dataset, 2), -1);
  EXPECT_EQ(pixels_of(*dataset, 2), (Bytes{12, 13, 14, 15, 16, 17}));
}

TEST(Dataset, RefusesAnIndexOutsideAndRoomOfAnotherSize) {
  const Folder folder;
  write_plain(folder / "some", images(3));
  const auto dataset = read_images(folder / "some", {}, 1);
  Bytes pixels(6);
  EXPECT_THROW(dataset->get(3, pixels), std::out_of_range);
  EXPECT_THROW(dataset->get(-1, pixels), std::out_of_range);
  pixels.resize(5);
  EXPECT_THROW(dataset->get(0, pixels), std::invalid_argument);
}

TEST(Subset, ShowsTheParentsSamplesInItsOwnOrder) {
  const auto parent = std::make_shared<FunctionDataset>(
      10, SampleShape{1, 1, 1},
      [](std::int64_t index, std::int64_t) { return static_cast<std::uint8_t>(index); });
  const auto subset = make_subset(parent, {9, 4, 4});
  EXPECT_EQ(subset->size(), 3);
  EXPECT_EQ(subset->classes(), 7);
  EXPECT_EQ(pixels_of(*subset, 0), (Bytes{9}));
  EXPECT_EQ(pixels_of(*subset, 1), (Bytes{4}));
  EXPECT_EQ(label_of(*subset, 0), 2);
  EXPECT_THROW(label_of(*subset, 3), std::out_of_range);
  EXPECT_THROW(make_subset(parent, {0, 10}), std::out_of_range);
}

DataConfig synthetic_config(std::int64_t samples, double validation) {
  DataConfig config;
  config.dataset = DataConfig::Dataset::synthetic;
  config.synthetic = {
      .samples = samples, .test_samples = 5, .height = 4, .width = 3, .channels = 2, .classes = 3};
  config.validation = validation;
  return config;
}

// As text, which can be sorted.
std::vector<std::string> all_pixels(const Dataset& dataset) {
  std::vector<std::string> all;
  for (std::int64_t i = 0; i < dataset.size(); ++i) {
    const Bytes pixels = pixels_of(dataset, i);
    all.emplace_back(pixels.begin(), pixels.end());
  }
  return all;
}

TEST(ValidationSplit, CutsTheTrainingSetIntoTwoWithoutOverlap) {
  const Datasets whole = open_datasets(synthetic_config(101, 0), 1);
  const Datasets split = open_datasets(synthetic_config(101, 0.25), 1);
  EXPECT_EQ(split.validation->size(), 25);
  EXPECT_EQ(split.train->size(), 76);
  EXPECT_EQ(split.test->size(), 5);
  auto parts = all_pixels(*split.train);
  std::ranges::copy(all_pixels(*split.validation), std::back_inserter(parts));
  auto all = all_pixels(*whole.train);
  std::ranges::sort(parts);
  std::ranges::sort(all);
  EXPECT_EQ(parts, all);
  EXPECT_EQ(std::set(all.begin(), all.end()).size(), 101U);
}

TEST(ValidationSplit, IsAFunctionOfTheSeed) {
  const auto held = [](std::uint64_t seed) {
    return all_pixels(*open_datasets(synthetic_config(101, 0.25), seed).validation);
  };
  EXPECT_EQ(held(1), held(1));
  EXPECT_NE(held(1), held(2));
}

TEST(ValidationSplit, RefusesToLeaveAPartEmpty) {
  EXPECT_THAT(open_error(synthetic_config(10, 0.05)),
              AllOf(HasSubstr("data.validation"), HasSubstr("0 for validation")));
  EXPECT_THAT(open_error(synthetic_config(1, 0.999)), HasSubstr("data.validation"));
}

}  // namespace
}  // namespace lockstep::testing

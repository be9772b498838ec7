#include "trainer/data/idx.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <iterator>

#include "tests/unit/data/fixtures.h"

namespace lockstep::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string image_error(const std::filesystem::path& path) {
  return message_of<DataError>([&] { read_idx_image_file(path); });
}
std::string label_error(const std::filesystem::path& path) {
  return message_of<DataError>([&] { read_idx_label_file(path); });
}

TEST(Idx, ReadsImagesOfOneChannel) {
  const Folder folder;
  write_plain(folder / "images", images(2));
  const ImageArray read = read_idx_image_file(folder / "images");
  EXPECT_EQ(read.count, 2);
  EXPECT_EQ(read.shape, (SampleShape{2, 3, 1}));
  EXPECT_EQ(read.pixels, (Bytes{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
}

TEST(Idx, ReadsAFourthDimensionAsChannels) {
  const Folder folder;
  write_plain(folder / "images", idx(0x804, {1, 2, 1, 3}, {1, 2, 3, 4, 5, 6}));
  const ImageArray read = read_idx_image_file(folder / "images");
  EXPECT_EQ(read.count, 1);
  EXPECT_EQ(read.shape, (SampleShape{2, 1, 3}));
  EXPECT_EQ(read.pixels, (Bytes{1, 2, 3, 4, 5, 6}));
}

TEST(Idx, ReadsLabels) {
  const Folder folder;
  write_plain(folder / "labels", labels({3, 0, 255}));
  EXPECT_EQ(read_idx_label_file(folder / "labels"), (Bytes{3, 0, 255}));
}

TEST(Idx, ReadsGzipAsItReadsPlain) {
  const Folder folder;
  write_gzip(folder / "images.gz", images(1000));
  write_plain(folder / "images", images(1000));
  EXPECT_EQ(read_idx_image_file(folder / "images.gz").pixels, read_idx_image_file(folder / "images").pixels);
}

TEST(Idx, ReadsMoreThanItTakesInOneGo) {
  const Folder folder;
  Bytes values(9U << 20U);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::uint8_t>(i % 251);
  write_gzip(folder / "images.gz", idx(0x803, {9, 1024, 1024}, values));
  EXPECT_TRUE(read_idx_image_file(folder / "images.gz").pixels == values);
}

TEST(Idx, RefusesWhatIsNotThereOrNoFile) {
  const Folder folder;
  EXPECT_THAT(image_error(folder / "images"),
              AllOf(HasSubstr((folder / "images").string()), HasSubstr("cannot be found")));
  EXPECT_THAT(image_error(folder.path()), HasSubstr("is not a file"));
}

TEST(Idx, RefusesAnotherMagicNumberAndSaysWhichIsRight) {
  const Folder folder;
  write_plain(folder / "labels", labels({1, 2}));
  write_plain(folder / "images", images(1));
  write_plain(folder / "text", {'h', 'e', 'l', 'l', 'o'});
  EXPECT_THAT(image_error(folder / "labels"),
              AllOf(HasSubstr("0x00000801"), HasSubstr("images starts with 0x00000803")));
  EXPECT_THAT(label_error(folder / "images"),
              AllOf(HasSubstr("0x00000803"), HasSubstr("labels starts with 0x00000801")));
  EXPECT_THAT(image_error(folder / "text"), AllOf(HasSubstr("0x68656c6c"), HasSubstr("0x00000803")));
}

TEST(Idx, RefusesAHeaderThatIsCut) {
  const Folder folder;
  write_plain(folder / "empty", {});
  write_plain(folder / "short", {0, 0, 8, 3, 0, 0});
  EXPECT_THAT(image_error(folder / "empty"), AllOf(HasSubstr("truncated"), HasSubstr("found 0")));
  EXPECT_THAT(image_error(folder / "short"), AllOf(HasSubstr("truncated"), HasSubstr("found 2")));
}

TEST(Idx, RefusesATruncatedFileAndSaysHowManyBytesItLacks) {
  const Folder folder;
  Bytes bytes = images(4);
  bytes.resize(30);
  write_plain(folder / "images", bytes);
  EXPECT_THAT(image_error(folder / "images"),
              AllOf(HasSubstr("truncated"), HasSubstr("expected 40 bytes for 4 images of 2x3"),
                    HasSubstr("found 30")));
}

TEST(Idx, RefusesBytesBehindTheLast) {
  const Folder folder;
  Bytes bytes = images(4);
  bytes.resize(47);
  write_plain(folder / "images", bytes);
  write_gzip(folder / "images.gz", bytes);
  EXPECT_THAT(image_error(folder / "images"),
              AllOf(HasSubstr("expected 40 bytes"), HasSubstr("found 7 more")));
  EXPECT_THAT(image_error(folder / "images.gz"), HasSubstr("more bytes than the 4 images of 2x3"));
}

TEST(Idx, RefusesPackedDataThatUnpacksToTooLittle) {
  const Folder folder;
  Bytes bytes = images(4);
  bytes.resize(30);
  write_gzip(folder / "images.gz", bytes);
  EXPECT_THAT(image_error(folder / "images.gz"),
              AllOf(HasSubstr("truncated"), HasSubstr("expected 24"), HasSubstr("found 14")));
}

TEST(Idx, RefusesAGzipFileCutAnywhere) {
  const Folder folder;
  write_gzip(folder / "whole.gz", images(100));
  const Bytes whole = read_plain(folder / "whole.gz");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write_plain(folder / "cut.gz", Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
    EXPECT_THAT(image_error(folder / "cut.gz"), HasSubstr("cut.gz"))
        << size << " of " << whole.size() << " bytes";
  }
}

TEST(Idx, RefusesCorruptGzip) {
  const Folder folder;
  write_gzip(folder / "images.gz", images(1000));
  Bytes bytes = read_plain(folder / "images.gz");
  bytes[bytes.size() - 6] ^= 1U;  // in the checksum
  write_plain(folder / "images.gz", bytes);
  EXPECT_THAT(image_error(folder / "images.gz"), HasSubstr("corrupt gzip"));
}

TEST(Idx, ReadsGzipOfSeveralMembersAsOne) {
  const Folder folder;
  const Bytes whole = images(1000);
  write_gzip(folder / "first", Bytes(whole.begin(), whole.begin() + 3000));
  write_gzip(folder / "second", Bytes(whole.begin() + 3000, whole.end()));
  Bytes both = read_plain(folder / "first");
  std::ranges::copy(read_plain(folder / "second"), std::back_inserter(both));
  write_plain(folder / "both.gz", both);
  write_plain(folder / "images", whole);
  EXPECT_EQ(read_idx_image_file(folder / "both.gz").pixels, read_idx_image_file(folder / "images").pixels);
}

TEST(Idx, RefusesBytesBehindTheGzipData) {
  const Folder folder;
  for (const Bytes& more :
       {Bytes{0}, Bytes{'x'}, Bytes(100'000, 7), Bytes{0x1F, 0x8B, 8}, Bytes{0x1F, 0, 0}}) {
    write_gzip(folder / "images.gz", images(100));
    Bytes bytes = read_plain(folder / "images.gz");
    std::ranges::copy(more, std::back_inserter(bytes));
    write_plain(folder / "images.gz", bytes);
    EXPECT_THAT(image_error(folder / "images.gz"), HasSubstr("gzip data")) << more.size();
  }
}

// 64 MiB of zeros behind an honest image: what was declared is read, and one byte more.
TEST(Idx, RefusesAGzipBombAtItsFirstByteTooMany) {
  const Folder folder;
  Bytes bytes = images(1);
  bytes.resize(64U << 20U);
  write_gzip(folder / "images.gz", bytes);
  EXPECT_THAT(image_error(folder / "images.gz"), HasSubstr("more bytes than the 1 images of 2x3"));
}

TEST(Idx, UnpacksNoMoreThanTheConfigurationAllows) {
  const Folder folder;
  Bytes bytes = idx(0x803, {3, 1024, 1024}, {});
  bytes.resize(bytes.size() + (3U << 20U));
  write_gzip(folder / "images.gz", bytes);
  write_plain(folder / "images", bytes);
  EXPECT_THAT(message_of<DataError>([&] { read_idx_image_file(folder / "images.gz", 3); }),
              AllOf(HasSubstr("3 images of 1024x1024"), HasSubstr("data.max_mib allows 3 MiB")));
  EXPECT_NO_THROW(read_idx_image_file(folder / "images.gz", 4));
  EXPECT_NO_THROW(read_idx_image_file(folder / "images", 1));
}

TEST(Idx, RefusesCorruptGzipAtAnyByte) {
  const Folder folder;
  write_gzip(folder / "whole.gz", images(20));
  const Bytes whole = read_plain(folder / "whole.gz");
  const Bytes pixels = read_idx_image_file(folder / "whole.gz").pixels;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    Bytes bytes = whole;
    bytes[at] ^= 0xFFU;
    try {  // the header has bytes that nothing depends on: a time, a system
      EXPECT_EQ(parse_idx_images(bytes, "a.gz").pixels, pixels) << at;
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), HasSubstr("a.gz: ")) << at;
    }
  }
}

TEST(Idx, ReadsFromMemoryWhatItReadsFromAFile) {
  EXPECT_EQ(parse_idx_images(images(2), "a").pixels, (Bytes{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
  EXPECT_EQ(parse_idx_labels(labels({3, 0, 255}), "a"), (Bytes{3, 0, 255}));
}

TEST(Idx, RefusesADimensionOfZero) {
  const Folder folder;
  write_plain(folder / "images", idx(0x803, {2, 0, 3}, {}));
  write_plain(folder / "labels", labels({}));
  EXPECT_THAT(image_error(folder / "images"), AllOf(HasSubstr("2 images of 0x3"), HasSubstr("at least 1")));
  EXPECT_THAT(label_error(folder / "labels"), AllOf(HasSubstr("0 labels"), HasSubstr("at least 1")));
}

TEST(Idx, RefusesDimensionsThatOverflow) {
  const Folder folder;
  constexpr std::uint32_t most = 0xFFFFFFFF;
  write_plain(folder / "images", idx(0x804, {most, most, most, most}, {1}));
  EXPECT_THAT(image_error(folder / "images"), HasSubstr("more bytes than any file has"));
}

TEST(Idx, AHeaderThatClaimsTooMuchCostsNoMemory) {
  const Folder folder;
  constexpr std::uint32_t huge = 1U << 20U;  // 2⁶⁰ bytes: no machine could answer the request
  write_plain(folder / "images", idx(0x803, {huge, huge, huge}, {1}));
  write_gzip(folder / "images.gz", idx(0x803, {huge, huge, huge}, {1}));
  EXPECT_THAT(image_error(folder / "images"), HasSubstr("expected 1152921504606846992 bytes"));
  EXPECT_THAT(image_error(folder / "images.gz"),
              AllOf(HasSubstr("expected 1152921504606846992"), HasSubstr("at most")));
}

}  // namespace
}  // namespace lockstep::testing

#include "ringfence/tuf/folder_store.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace ringfence::tuf {
namespace {

namespace fs = std::filesystem;

class FolderStoreTest : public ::testing::Test {
 protected:
  FolderStoreTest() {
    std::string pattern = (fs::temp_directory_path() / "store-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    fs::create_directories(folder_ / "inside");
  }
  ~FolderStoreTest() override { fs::remove_all(folder_); }
  size_t Files() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(folder_ / "inside"), fs::directory_iterator()));
  }

  fs::path folder_;
};

TEST_F(FolderStoreTest, GivesBackTheSameBytesAndLeavesNothingBeside) {
  FolderStore store((folder_ / "inside").string());
  EXPECT_EQ(store.Load("root").status().code(), absl::StatusCode::kNotFound);
  const std::string bytes("a\0b\n ", 5);
  ASSERT_TRUE(store.Save("root", "old").ok());
  ASSERT_TRUE(store.Save("root", bytes).ok());
  EXPECT_EQ(*store.Load("root"), bytes);
  EXPECT_EQ(Files(), 1u);
}

TEST_F(FolderStoreTest, NoNameLeadsOutOfTheFolder) {
  FolderStore store((folder_ / "inside").string());
  size_t expected = 0;
  for (const char* role : {"../x", "/tmp/x", "..", ".", "a/b", "%2F", "\n", "x\\y"}) {
    ASSERT_TRUE(store.Save(role, role).ok()) << role;
    EXPECT_EQ(*store.Load(role), role);
    EXPECT_EQ(Files(), ++expected) << role;
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

// The power failed while the new file was being written: the old one counts, the next save replaces the rest.
TEST_F(FolderStoreTest, AHalfWrittenNewFileIsNotLookedAt) {
  FolderStore store((folder_ / "inside").string());
  ASSERT_TRUE(store.Save("root", "old").ok());
  ASSERT_TRUE(WriteFileDurably((folder_ / "inside" / "root.json.new").string(), "ha", 0600).ok());
  EXPECT_EQ(*store.Load("root"), "old");
  ASSERT_TRUE(store.Save("root", "new").ok());
  EXPECT_EQ(*store.Load("root"), "new");
  EXPECT_EQ(Files(), 1u);
}

TEST_F(FolderStoreTest, WhatCannotBeWrittenLeavesTheOldOne) {
  const std::string path = (folder_ / "inside" / "file").string();
  fs::create_directories(path);  // a folder stands where the file should be
  EXPECT_FALSE(WriteFileDurably(path, "x", 0600).ok());
  EXPECT_TRUE(fs::is_directory(path));
  EXPECT_EQ(Files(), 1u);
  FolderStore store((folder_ / "inside").string());
  EXPECT_FALSE(store.Save(std::string(300, 'x'), "x").ok());
  FolderStore nowhere((folder_ / "nowhere").string());
  EXPECT_EQ(nowhere.Save("root", "x").code(), absl::StatusCode::kNotFound);
}

TEST_F(FolderStoreTest, ReadsNoMoreThanIsAllowed) {
  const std::string path = (folder_ / "file").string();
  ASSERT_TRUE(WriteFileDurably(path, std::string(1000, 'x'), 0600).ok());
  EXPECT_TRUE(ReadFile(path, 1000).ok());
  EXPECT_EQ(ReadFile(path, 999).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(ReadFile(folder_.string(), 999).ok());
}

}  // namespace
}  // namespace ringfence::tuf

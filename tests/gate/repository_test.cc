// Publications out of the release repository: what passes, and for each thing that can be wrong the one word
// that says so.
#include "gmock/gmock.h"
#include "ringfence/policy/deny.h"
#include "tests/gate/repository_fixture.h"

namespace ringfence::gate {
namespace {

using testing::HasSubstr;

TEST_F(RepositoryTest, ASoundReleaseIsWhatItsListingSays) {
  const std::string bytes = Content();
  trust::ReleaseTerms terms = Terms({kDebian, "os=rhel9,arch=x86_64"});
  terms.urgent = true;
  const std::string path =
      repository.List(terms, "ipc.fct", bytes, {Tested(bytes, {kDebian, "os=rhel9,arch=x86_64"})});
  const auto verified = Verify(repository.Publish());
  ASSERT_TRUE(verified.ok()) << verified.status();
  ASSERT_TRUE(verified->release.has_value());
  const policy::Release& found = *verified->release;
  EXPECT_EQ(found.channel, "ipc");
  EXPECT_EQ(found.serial, 291u);
  EXPECT_EQ(found.version, "v291");
  EXPECT_TRUE(found.urgent);
  EXPECT_EQ(found.digest, Sha256(bytes));
  EXPECT_EQ(found.size_bytes, static_cast<int64_t>(bytes.size()));
  ASSERT_EQ(found.artifacts.size(), 1u);
  EXPECT_EQ(found.artifacts[0].path, path);
  EXPECT_EQ(found.artifacts[0].qualifications.size(), 1u);
  const auto covers = [&](std::vector<policy::Labels::Pair> labels) {
    return policy::IsQualified(found, *policy::Labels::Make(std::move(labels)));
  };
  EXPECT_TRUE(covers({{"platform", kDebian}, {"sensor", "7.11+"}}));
  EXPECT_TRUE(covers({{"os", "rhel9"}, {"arch", "x86_64"}, {"sensor", "7.11+"}}));
  EXPECT_FALSE(covers({{"os", "rhel9"}, {"sensor", "7.11+"}}));
  EXPECT_FALSE(covers({{"platform", kDebian}, {"sensor", "7.10"}}));
  EXPECT_FALSE(covers({{"platform", kDebian}}));
}

TEST_F(RepositoryTest, AllThatAnAgentNeedsIsKeptAndNoArtifact) {
  ListSound("a.fct");
  const RepositoryFiles files = repository.Publish();
  const auto verified = Verify(files);
  ASSERT_TRUE(verified.ok()) << verified.status();
  std::vector<std::string> names;
  for (const VerifiedFile& file : verified->files) {
    names.push_back(file.name.substr(0, 5));
    const bool as_it_came = files.metadata.contains(file.name) ? files.metadata.at(file.name) == file.bytes
                                                               : files.targets.at(file.name) == file.bytes;
    EXPECT_TRUE(as_it_came) << file.name;
  }
  EXPECT_THAT(names, testing::UnorderedElementsAre("times", "1.sna", "1.tar", "1.con", "1.sen", "1.qua",
                                                   "trust", "qual/"));
}

TEST_F(RepositoryTest, ALaterVersionOfAPlatformIsCovered) {
  const std::string bytes = Content();
  repository.List(Terms({kWindows}), "w.fct", bytes, {Tested(bytes, {"windows/x86_64/10.0.22631"})});
  const auto verified = Verify(repository.Publish());
  ASSERT_TRUE(verified.ok()) << verified.status();
  const auto covers = [&](const std::string& platform) {
    return policy::IsQualified(*verified->release,
                               *policy::Labels::Make({{"platform", platform}, {"sensor", "7.11+"}}));
  };
  EXPECT_TRUE(covers("windows/x86_64/10.0.22631"));
  EXPECT_TRUE(covers("windows/x86_64/10.0.26100"));
  EXPECT_FALSE(covers("windows/x86_64/10.0.19045"));
  EXPECT_FALSE(covers("linux/x86_64/10.0.26100"));
}

TEST_F(RepositoryTest, MetadataAloneIsAPublicationToo) {
  ListSound("a.fct");
  RepositoryFiles files = repository.Publish();
  files.targets.erase("content/ipc/a.fct");
  const auto verified = Verify(files);
  ASSERT_TRUE(verified.ok()) << verified.status();
  EXPECT_FALSE(verified->release.has_value());
}

TEST_F(RepositoryTest, OnlyWhatChangedNeedsToCome) {
  ListSound("a.fct");
  const auto first = Verify(repository.Publish());
  ASSERT_TRUE(first.ok()) << first.status();
  stored.Store(*first);
  release.serial = 292;
  release.version = "v292";
  ListSound("b.fct");
  RepositoryFiles files = repository.Publish();
  files.targets.erase("trust.json");  // is stored, and the same
  files.targets.erase("content/ipc/a.fct");
  const auto second = Verify(files);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->release->serial, 292u);
}

TEST_F(RepositoryTest, NoSignatureAWrongKeyAndASpoiltOneAreBadSignatures) {
  ListSound("a.fct");
  repository.release_signers = {};
  EXPECT_EQ(Answer(repository.Publish()), "bad_signature metadata content-release");
  repository.release_signers = {"somebody"};
  EXPECT_EQ(Answer(repository.Publish()), "bad_signature metadata content-release");
  repository.release_signers = {"release"};
  repository.spoil_signature = true;
  EXPECT_EQ(Answer(repository.Publish()), "bad_signature metadata content-release");
  repository.spoil_signature = false;
  EXPECT_EQ(Answer(repository.Publish()), "passed") << text;
}

TEST_F(RepositoryTest, BytesThatNobodyListsAreBadlySigned) {
  ListSound("a.fct");
  RepositoryFiles files = repository.Publish();
  files.targets["content/ipc/b.fct"] = Content();
  EXPECT_EQ(Answer(files), "bad_signature artifact content/ipc/b.fct");
}

TEST_F(RepositoryTest, MetadataNeverGoesBackBehindWhatWasStored) {
  ListSound("a.fct");
  const RepositoryFiles old = repository.Publish();
  const auto newer = Verify(repository.Publish());
  ASSERT_TRUE(newer.ok());
  stored.Store(*newer);
  EXPECT_EQ(Answer(old), "stale_version metadata timestamp");
}

TEST_F(RepositoryTest, TheTrustDocumentNeverGoesBack) {
  ListSound("a.fct");
  repository.trust_version = 5;
  const auto newer = Verify(repository.Publish());
  ASSERT_TRUE(newer.ok());
  stored.Store(*newer);
  repository.trust_version = 4;
  EXPECT_EQ(Answer(repository.Publish()), "stale_version metadata trust.json");
}

TEST_F(RepositoryTest, ExpiredMetadataIsNotPublished) {
  ListSound("a.fct");
  repository.expires = now - absl::Seconds(1);
  EXPECT_THAT(Answer(repository.Publish()), HasSubstr("stale_version metadata"));
  EXPECT_THAT(text, HasSubstr("expired"));
}

TEST_F(RepositoryTest, AFileThatTheMetadataNamesAndThatDidNotComeMakesTheSetIncomplete) {
  ListSound("a.fct");
  RepositoryFiles files = repository.Publish();
  files.metadata.erase("1.content-release.json");
  EXPECT_EQ(Answer(files), "incomplete_set metadata content-release");
  files.metadata.clear();
  EXPECT_EQ(Answer(files), "incomplete_set metadata timestamp");
}

TEST_F(RepositoryTest, DamagedMetadataIsMalformedOrAMismatch) {
  ListSound("a.fct");
  RepositoryFiles files = repository.Publish();
  files.metadata["timestamp.json"] = "{}";
  EXPECT_EQ(Answer(files), "malformed metadata timestamp");
  files = repository.Publish();
  files.metadata["2.snapshot.json"].back() = ' ';
  EXPECT_EQ(Answer(files), "evidence_mismatch metadata snapshot");
}

TEST_F(RepositoryTest, AStoreThatIsAwayIsNoRefusal) {
  ListSound("a.fct");
  const RepositoryFiles files = repository.Publish();
  stored.down = true;
  EXPECT_TRUE(absl::IsUnavailable(Verify(files).status())) << Verify(files).status();
}

// ---- the bytes

TEST_F(RepositoryTest, AFileOfZerosIsMalformedHoweverWellItIsSigned) {
  const std::string zeros(40'960, '\0');
  repository.List(Terms({kDebian}), "a.fct", zeros, {Tested(zeros, {kDebian})});
  EXPECT_EQ(Answer(repository.Publish()), "malformed artifact bytes");
  EXPECT_THAT(text, HasSubstr("found 40960 zeros"));
}

TEST_F(RepositoryTest, DamageIsMalformedThoughDigestAndSignaturesWereMadeAfterIt) {
  std::string bytes = Content();
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  repository.List(Terms({kDebian}), "a.fct", bytes, {Tested(bytes, {kDebian})});
  EXPECT_EQ(Answer(repository.Publish()), "malformed content trailer.sha256");
}

TEST_F(RepositoryTest, OtherBytesThanTheListedOnesAreAMismatch) {
  const std::string path = ListSound("a.fct");
  RepositoryFiles files = repository.Publish();
  files.targets[path] = Content(19);
  EXPECT_EQ(Answer(files), "evidence_mismatch artifact bytes");
}

TEST_F(RepositoryTest, TwentyOneInputsForASensorWithTwentyAreASchemaMismatch) {
  const std::string bytes = Content(21);
  repository.List(Terms({kDebian}, 21), "a.fct", bytes, {Tested(bytes, {kDebian})});
  EXPECT_EQ(Answer(repository.Publish()), "schema_mismatch release requires.schema.throwaway");
  // Nor does a listing help that says otherwise.
  repository.List(Terms({kDebian}, 20), "a.fct", bytes, {Tested(bytes, {kDebian})});
  EXPECT_EQ(Answer(repository.Publish()), "schema_mismatch content header.field_count");
}

TEST_F(RepositoryTest, ASensorThatNobodyRegisteredIsASchemaMismatch) {
  trust::ReleaseTerms terms = Terms({kDebian});
  terms.sensor_min = terms.sensor_max = *content::SensorVersion::Parse("8.0.0");
  const std::string bytes = Content();
  repository.List(terms, "a.fct", bytes, {Tested(bytes, {kDebian})});
  EXPECT_EQ(Answer(repository.Publish()), "schema_mismatch release requires.sensor_min");
}

TEST_F(RepositoryTest, ContentOfAnotherReleaseIsNoEvidenceForThisOne) {
  const std::string bytes = Content();
  release.version = "v292";
  repository.List(Terms({kDebian}), "a.fct", bytes, {Tested(bytes, {kDebian})});
  EXPECT_EQ(Answer(repository.Publish()), "evidence_mismatch content identity");
}

// ---- evidence

TEST_F(RepositoryTest, NoEvidenceIsUnqualified) {
  repository.List(Terms({kDebian}), "a.fct", Content(), {});
  EXPECT_EQ(Answer(repository.Publish()), "unqualified_artifact qualification envelopes");
}

TEST_F(RepositoryTest, EvidenceOfOtherBytesIsAMismatch) {
  repository.List(Terms({kDebian}), "a.fct", Content(), {Tested("what was tested", {kDebian})});
  EXPECT_EQ(Answer(repository.Publish()), "evidence_mismatch qualification subject.digest.sha256");
}

TEST_F(RepositoryTest, EvidenceOfAStrangerIsABadSignature) {
  const std::string bytes = Content();
  repository.List(Terms({kDebian}), "a.fct", bytes,
                  {Throwaway::Evidence(Sha256(bytes), {{kDebian, "7.11.0"}}, "somebody")});
  EXPECT_EQ(Answer(repository.Publish()), "bad_signature qualification signatures");
}

TEST_F(RepositoryTest, APlatformThatWasNotTestedMakesTheSetIncomplete) {
  const std::string bytes = Content();
  repository.List(Terms({kDebian, "os=rhel9"}), "a.fct", bytes, {Tested(bytes, {kDebian})});
  EXPECT_EQ(Answer(repository.Publish()), "incomplete_set qualification predicate.passedTests");
  EXPECT_THAT(text, HasSubstr("1 of 2 of the matrix, not os=rhel9 with sensor 7.11.0"));
}

TEST_F(RepositoryTest, EachRegisteredSensorInTheRangeWantsItsOwnTests) {
  ThrowawayRepository two({Throwaway::Sensor("7.11", "7.11.0", 20), Throwaway::Sensor("7.12", "7.12.0", 20)});
  const std::string bytes = Content();
  two.List(Terms({kDebian}), "a.fct", bytes, {Throwaway::Evidence(Sha256(bytes), {{kDebian, "7.11.0"}})});
  const auto verified = VerifyRepository(two.trust(), two.Publish(), std::nullopt, stored, now);
  EXPECT_EQ(trust::RefusalFrom(verified.status())->type, trust::RefusalType::kIncompleteSet)
      << verified.status();
}

// With everything wrong at once the first question's word is the answer; what is put right lets the next be
// asked.
TEST_F(RepositoryTest, TheFirstQuestionThatFailsIsTheAnswer) {
  const std::string zeros(40'960, '\0'), other = Content(19);
  const std::string unsigned_file =
      *content::Build(Throwaway::ContentOf(release, from, to, 20, 3000), nullptr, std::nullopt);
  repository.release_signers = {};
  const std::string path = repository.List(Terms({kDebian}, 21), "a.fct", unsigned_file, {});
  const auto answer = [&](const std::string& bytes) {
    RepositoryFiles files = repository.Publish();
    files.targets[path] = bytes;
    return Answer(files);
  };
  EXPECT_EQ(answer(zeros), "bad_signature metadata content-release");
  repository.release_signers = {"release"};
  EXPECT_EQ(answer(zeros), "malformed artifact bytes");
  EXPECT_EQ(answer(other), "schema_mismatch release requires.schema.throwaway");
  repository.List(Terms({kDebian}), "a.fct", unsigned_file, {});
  EXPECT_EQ(answer(other), "evidence_mismatch artifact bytes");
  EXPECT_EQ(answer(unsigned_file), "unqualified_artifact qualification envelopes");
  repository.List(Terms({kDebian}), "a.fct", unsigned_file, {Tested(unsigned_file, {kDebian})});
  EXPECT_EQ(answer(unsigned_file), "bad_signature content trailer.keyid");
  ListSound("a.fct");
  EXPECT_EQ(answer(Content()), "passed");
}

TEST_F(RepositoryTest, AnArtifactHasALimit) {
  const std::string large(static_cast<size_t>(policy::kMaxArtifactBytes) + 1, 'x');
  repository.List(Terms({kDebian}), "a.fct", large, {Tested(large, {kDebian})});
  EXPECT_EQ(Answer(repository.Publish()), "limit_exceeded artifact bytes");
}

// ---- sets

TEST_F(RepositoryTest, ASetIsTakenWholeAndEachHostHasItsArtifact) {
  const std::string debian = Content(), windows = debian;
  repository.List(Terms({kDebian}), "debian.fct", debian, {Tested(debian, {kDebian})});
  release.kind = policy::ChannelKind::kContent;
  std::string other = Throwaway::FileOf(Throwaway::ContentOf(release, from, to, 20, 9000));
  repository.List(Terms({"os=win11"}), "windows.fct", other, {Tested(other, {"os=win11"})});
  RepositoryFiles files = repository.Publish();
  const auto verified = Verify(files);
  ASSERT_TRUE(verified.ok()) << verified.status();
  const policy::Release& found = *verified->release;
  ASSERT_EQ(found.artifacts.size(), 2u);
  const auto bytes_for = [&](std::vector<policy::Labels::Pair> labels) {
    return policy::BytesFor(found, *policy::Labels::Make(std::move(labels)));
  };
  EXPECT_EQ(bytes_for({{"os", "win11"}, {"sensor", "7.11+"}})->digest, Sha256(other));
  EXPECT_EQ(bytes_for({{"os", "win11"}, {"sensor", "7.11+"}})->size_bytes,
            static_cast<int64_t>(other.size()));
  EXPECT_EQ(bytes_for({{"platform", kDebian}, {"sensor", "7.11+"}})->digest, Sha256(debian));
  EXPECT_FALSE(bytes_for({{"os", "rhel9"}, {"sensor", "7.11+"}}).has_value());
  EXPECT_NE(found.digest, Sha256(debian));
  EXPECT_EQ(found.digest, policy::DigestOfSet({found.artifacts[1], found.artifacts[0]}));
  EXPECT_TRUE(policy::Holds(found, Sha256(other)));

  files.targets.erase("content/ipc/windows.fct");
  EXPECT_EQ(Answer(files), "incomplete_set release artifacts");
  EXPECT_THAT(text, HasSubstr("no content/ipc/windows.fct"));
}

TEST_F(RepositoryTest, TheArtifactsOfASetSayTheSameRelease) {
  ListSound("debian.fct");
  const std::string other = Throwaway::FileOf(Throwaway::ContentOf(release, from, to, 20, 9000));
  trust::ReleaseTerms terms = Terms({"os=win11"});
  terms.urgent = true;
  repository.List(terms, "windows.fct", other, {Tested(other, {"os=win11"})});
  EXPECT_EQ(Answer(repository.Publish()), "evidence_mismatch release[content/ipc/windows.fct] urgency");
  repository.List(Terms({kDebian}), "windows.fct", other, {Tested(other, {kDebian})});
  EXPECT_EQ(Answer(repository.Publish()), "evidence_mismatch release[content/ipc/windows.fct] platforms");
}

TEST_F(RepositoryTest, OnePublicationIsOneRelease) {
  ListSound("a.fct");
  release.serial = 292;
  release.version = "v292";
  ListSound("b.fct");
  EXPECT_EQ(Answer(repository.Publish()), "malformed release serial");
}

TEST_F(RepositoryTest, WhatIsListedAsRecalledIsTold) {
  const std::string path = ListSound("a.fct");
  repository.Revoke(path);
  RepositoryFiles files = repository.Publish();
  EXPECT_EQ(Answer(files), "known_bad release revoked");  // its bytes came along
  files.targets.erase(path);
  const auto verified = Verify(files);
  ASSERT_TRUE(verified.ok()) << verified.status();
  EXPECT_THAT(verified->recalled, testing::ElementsAre(testing::Pair("ipc", 291)));
}

}  // namespace
}  // namespace ringfence::gate

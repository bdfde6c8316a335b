import java.nio.ByteBuffer;
import java.util.HexFormat;
import java.util.List;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.coordinator.common.runtime.CoordinatorRecord;
import org.apache.kafka.coordinator.group.GroupCoordinatorRecordSerde;
import org.apache.kafka.coordinator.group.generated.*;
import org.apache.kafka.server.common.ApiMessageAndVersion;

/**
 * Records of __consumer_offsets as Kafka's own classes write them: lines `name valueVersion keyHex valueHex`.
 * record-codec.test.ts runs it when told to; it has the same values on our side.
 */
public class GoldenGroupRecords {
    static final GroupCoordinatorRecordSerde serde = new GroupCoordinatorRecordSerde();
    static final Uuid first = new Uuid(0x0102030405060708L, 0x090a0b0c0d0e0f10L);
    static final Uuid second = new Uuid(0x1112131415161718L, 0x191a1b1c1d1e1f20L);

    static void print(String name, ApiMessage key, ApiMessage value, int version) {
        ApiMessageAndVersion versioned = new ApiMessageAndVersion(value, (short) version);
        CoordinatorRecord record = CoordinatorRecord.record(key, versioned);
        HexFormat hex = HexFormat.of();
        System.out.println(name + " " + version + " " + hex.formatHex(serde.serializeKey(record)) + " "
            + hex.formatHex(serde.serializeValue(record)));
    }

    public static void main(String[] arguments) {
        OffsetCommitKey offsetKey = new OffsetCommitKey().setGroup("group").setTopic("topic").setPartition(7);
        for (int version = 0; version <= 4; version++) {
            OffsetCommitValue value = new OffsetCommitValue().setOffset(1L << 40).setMetadata("méta")
                .setCommitTimestamp(1_700_000_000_000L);
            if (version >= 3) value.setLeaderEpoch(5);
            if (version == 1) value.setExpireTimestamp(1_700_000_100_000L);
            if (version == 4) value.setTopicId(first);
            print("offsetCommit", offsetKey, value, version);
        }
        LegacyOffsetCommitKey legacy = new LegacyOffsetCommitKey().setGroup("group").setTopic("topic").setPartition(7);
        print("offsetCommitLegacy", legacy, new LegacyOffsetCommitValue().setOffset(1L << 40).setMetadata("méta")
            .setCommitTimestamp(1_700_000_000_000L), 0);
        for (int version = 0; version <= 4; version++) {
            GroupMetadataValue.MemberMetadata member = new GroupMetadataValue.MemberMetadata()
                .setMemberId("member").setClientId("client").setClientHost("/127.0.0.1").setSessionTimeout(45_000)
                .setSubscription(new byte[] {1, 2}).setAssignment(new byte[] {3});
            if (version >= 1) member.setRebalanceTimeout(300_000);
            if (version >= 3) member.setGroupInstanceId("instance");
            GroupMetadataValue value = new GroupMetadataValue().setProtocolType("consumer").setGeneration(3)
                .setProtocol("range").setLeader("member").setMembers(List.of(member));
            if (version >= 2) value.setCurrentStateTimestamp(1_700_000_000_000L);
            print("classicGroup", new GroupMetadataKey().setGroup("group"), value, version);
        }
        print("classicGroupEmpty", new GroupMetadataKey().setGroup("group"), new GroupMetadataValue()
            .setProtocolType("consumer").setGeneration(4).setProtocol(null).setLeader(null)
            .setCurrentStateTimestamp(1_700_000_000_000L).setMembers(List.of()), 3);
        print("consumerGroup", new ConsumerGroupMetadataKey().setGroupId("group"),
            new ConsumerGroupMetadataValue().setEpoch(10).setMetadataHash(1L << 50), 0);
        print("consumerGroupWithoutHash", new ConsumerGroupMetadataKey().setGroupId("group"),
            new ConsumerGroupMetadataValue().setEpoch(10), 0);
        ConsumerGroupMemberMetadataKey memberKey = new ConsumerGroupMemberMetadataKey().setGroupId("group").setMemberId("member");
        ConsumerGroupMemberMetadataValue member = new ConsumerGroupMemberMetadataValue().setInstanceId("instance")
            .setRackId(null).setClientId("client").setClientHost("/127.0.0.1").setSubscribedTopicNames(List.of("a", "b"))
            .setSubscribedTopicRegex("c.*").setRebalanceTimeoutMs(300_000).setServerAssignor("uniform");
        print("consumerGroupMember", memberKey, member, 0);
        ConsumerGroupMemberMetadataValue.ClassicProtocol protocol = new ConsumerGroupMemberMetadataValue.ClassicProtocol()
            .setName("range").setMetadata(new byte[] {1, 2, 3});
        print("consumerGroupMemberClassic", memberKey, member.duplicate().setClassicMemberMetadata(
            new ConsumerGroupMemberMetadataValue.ClassicMemberMetadata().setSessionTimeoutMs(45_000)
                .setSupportedProtocols(List.of(protocol))), 0);
        print("consumerGroupTarget", new ConsumerGroupTargetAssignmentMetadataKey().setGroupId("group"),
            new ConsumerGroupTargetAssignmentMetadataValue().setAssignmentEpoch(10), 0);
        print("consumerGroupTargetMember",
            new ConsumerGroupTargetAssignmentMemberKey().setGroupId("group").setMemberId("member"),
            new ConsumerGroupTargetAssignmentMemberValue().setTopicPartitions(List.of(
                new ConsumerGroupTargetAssignmentMemberValue.TopicPartition().setTopicId(first).setPartitions(List.of(0, 1)))), 0);
        ConsumerGroupCurrentMemberAssignmentKey currentKey =
            new ConsumerGroupCurrentMemberAssignmentKey().setGroupId("group").setMemberId("member");
        ConsumerGroupCurrentMemberAssignmentValue.TopicPartitions assigned =
            new ConsumerGroupCurrentMemberAssignmentValue.TopicPartitions().setTopicId(first).setPartitions(List.of(0, 1));
        ConsumerGroupCurrentMemberAssignmentValue.TopicPartitions revoked =
            new ConsumerGroupCurrentMemberAssignmentValue.TopicPartitions().setTopicId(second).setPartitions(List.of(2));
        ConsumerGroupCurrentMemberAssignmentValue current = new ConsumerGroupCurrentMemberAssignmentValue().setMemberEpoch(10)
            .setPreviousMemberEpoch(9).setState((byte) 1).setAssignedPartitions(List.of(assigned))
            .setPartitionsPendingRevocation(List.of(revoked));
        print("consumerGroupCurrent", currentKey, current, 0);
        // As 4.3 writes it: with the epoch of each assigned partition, which we skip.
        print("consumerGroupCurrentWithEpochs", currentKey, current.duplicate().setAssignedPartitions(
            List.of(assigned.duplicate().setAssignmentEpochs(List.of(8, 9)))), 0);
        print("consumerGroupRegex", new ConsumerGroupRegularExpressionKey().setGroupId("group").setRegularExpression("c.*"),
            new ConsumerGroupRegularExpressionValue().setTopics(List.of("ca", "cb")).setVersion(12)
                .setTimestamp(1_700_000_000_000L), 0);
        print("partitionMetadata", new ConsumerGroupPartitionMetadataKey().setGroupId("group"),
            new ConsumerGroupPartitionMetadataValue(), 0);
        print("shareGroup", new ShareGroupMetadataKey().setGroupId("group"), new ShareGroupMetadataValue().setEpoch(1), 0);
    }
}

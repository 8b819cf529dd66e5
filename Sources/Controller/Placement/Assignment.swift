public import KVProtocols

/// Which nodes shall hold which partition, the preferred leader first. All functions are deterministic: they depend on
/// the order of their arguments and on nothing else.
public enum Assignment {
    /// The first map: partition p on nodes p, p+1, ... modulo the number of nodes. Nodes of a zone that the partition
    /// has already are passed over as long as there are others.
    ///
    /// Fewer nodes than `replicas` give smaller sets. O(partitions x nodes).
    public static func initial(nodes: [PlacementNode], partitions: Int, replicas: Int) -> [[NodeID]] {
        let roster = Roster(nodes)
        guard !nodes.isEmpty else { return Array(repeating: [], count: partitions) }
        let ring = (0..<partitions).map { partition in
            var chosen: [Int] = []
            let order = (0..<nodes.count).map { (partition + $0) % nodes.count }
            for newZonesOnly in [true, false] {
                for position in order where chosen.count < replicas && !chosen.contains(position) {
                    let isTaken = chosen.contains { roster.zone[$0] == roster.zone[position] }
                    if !newZonesOnly || !isTaken { chosen.append(position) }
                }
            }
            return chosen.map { nodes[$0].id }
        }
        // Passing over nodes loads their neighbours more: even that out while it costs nothing.
        return roster.zones == nodes.count ? ring : balanced(ring, nodes: nodes, replicas: replicas)
    }

    /// Replaces members that may not stay, and fills sets that are too small; touches nothing else.
    ///
    /// Substitutes come from zones that the partition lacks, then from the nodes with the fewest replicas. Where there
    /// is no substitute the member stays listed: a smaller set would survive fewer failures. O(partitions x nodes).
    public static func repaired(_ current: [[NodeID]], nodes: [PlacementNode], replicas: Int) -> [[NodeID]] {
        let roster = Roster(nodes)
        var result = current
        var load = [Int](repeating: 0, count: nodes.count)
        var leads = load
        for members in current {
            for node in members where roster.keeps(node) { roster.position(of: node).map { load[$0] += 1 } }
            if let first = members.first, roster.keeps(first) { roster.position(of: first).map { leads[$0] += 1 } }
        }
        for (partition, members) in current.enumerated() {
            var kept = members.filter(roster.keeps)
            guard kept.count < members.count || members.count < replicas else { continue }
            if let first = members.first, !roster.keeps(first), !kept.isEmpty {
                promoteLeastLeading(&kept, roster: roster, leads: &leads)
            }
            while kept.count < replicas, let position = substitute(for: members, kept: kept, roster: roster, load: load)
            {
                kept.append(nodes[position].id)
                load[position] += 1
            }
            // Those that still answer before those that don't.
            let leaving = members.filter { !kept.contains($0) }
            let inOrder = leaving.filter(roster.isLive) + leaving.filter { !roster.isLive($0) }
            result[partition] = kept + inOrder.prefix(max(0, members.count - kept.count))
        }
        return result
    }

    private static func promoteLeastLeading(_ members: inout [NodeID], roster: Roster, leads: inout [Int]) {
        let order = members.indices.compactMap { index in
            roster.position(of: members[index]).map { (leads: leads[$0], index: index, position: $0) }
        }
        guard let best = order.min(by: { ($0.leads, $0.index) < ($1.leads, $1.index) }) else { return }
        members.insert(members.remove(at: best.index), at: 0)
        leads[best.position] += 1
    }

    private static func substitute(for members: [NodeID], kept: [NodeID], roster: Roster, load: [Int]) -> Int? {
        let zones = Set(kept.compactMap { roster.position(of: $0).map { roster.zone[$0] } })
        var best: (isTaken: Int, load: Int, position: Int)?
        for (position, node) in roster.nodes.enumerated() {
            guard node.accepts, !kept.contains(node.id), !members.contains(node.id) else { continue }
            let this = (zones.contains(roster.zone[position]) ? 1 : 0, load[position], position)
            if best.map({ this < ($0.isTaken, $0.load, $0.position) }) ?? true { best = this }
        }
        return best?.position
    }
}

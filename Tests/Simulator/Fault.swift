/// What may go wrong in a simulated world.
public enum Fault: String, CaseIterable, Sendable {
    // Processes
    case crash, pause, resign
    // Network
    case isolate, oneWay, split, ring, bridge, clog, wrongHint, heal
    // Disks
    case slowDisk, fullDisk, failedSync, damage
    /// A node's disk is empty, an older copy of itself, or a copy of another node's: the node becomes a new member.
    case replaceDisk
    // Clocks: of the wall, and the one that never goes back
    case clockJump, leap
    // Members: a random move, or what a person asks of the controller
    case reconfigure, join, drain, leave
    case controllerCrash
}

/// Which faults a run may see and how its clients behave. All numbers are drawn from the seed.
public enum Weather: String, CaseIterable, Sendable {
    /// Everything, each in a strength that the seed draws, often none: the one to run most.
    case swarm
    /// What the first version of the simulator did; its seeds stay what they were.
    case classic
    case network, disks, clocks
    /// Moves in quick succession, changed in the middle.
    case membership
    /// Moves are made by the real failure detector and planner, in a controller that crashes and forgets.
    case controller
    /// Few keys, many conditional writes at the same time.
    case contention
    /// Deletes, and messages that come seconds after what they tell of is forgotten.
    case burial
    /// Long runs with many operations at a time, checked by versions.
    case busy

    /// Relative frequency of each fault; `nil`: the seed draws it.
    func weight(_ fault: Fault) -> Int? {
        switch fault {
        case .join, .drain, .leave, .controllerCrash: return self == .controller ? nil : 0
        case .reconfigure where self == .controller: return 0
        default: break
        }
        switch self {
        case .swarm, .controller: return nil
        case .classic: return nil
        case .network: return Self.ofNetwork.contains(fault) ? nil : 0
        case .disks:
            if fault == .damage { return 8 }
            return [.crash, .isolate, .slowDisk, .fullDisk, .failedSync, .replaceDisk].contains(fault) ? nil : 0
        case .clocks: return [.clockJump, .leap, .pause, .isolate, .resign].contains(fault) ? nil : 0
        case .membership: return fault == .reconfigure ? 12 : Self.ofOld.contains(fault) ? nil : 0
        case .contention: return [.crash, .isolate, .resign, .pause].contains(fault) ? nil : 0
        case .burial:
            if fault == .resign { return 3 }
            return [.crash, .isolate, .pause, .reconfigure].contains(fault) ? nil : 0
        case .busy: return [.crash, .isolate, .resign, .slowDisk, .reconfigure].contains(fault) ? 1 : 0
        }
    }

    static let ofOld: [Fault] = [
        .crash, .pause, .isolate, .oneWay, .split, .heal, .slowDisk, .reconfigure, .wrongHint, .damage, .resign,
        .clockJump,
    ]
    private static let ofNetwork: [Fault] = [
        .isolate, .oneWay, .split, .ring, .bridge, .clog, .wrongHint, .pause, .resign,
    ]
}

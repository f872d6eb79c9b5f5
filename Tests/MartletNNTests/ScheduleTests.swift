import Foundation
import MartletNN
import Testing

@Suite struct ScheduleTests {
    /// The values of the paper's schedule and of what follows from it: step, lr, lr², beta2.
    @Test func palm() {
        let table: [(step: Int, rate: Double, decay: Double, beta2: Double)] = [
            (1, 0.01, 1e-4, 0), (10, 0.01, 1e-4, 0.84151), (1000, 0.01, 1e-4, 0.996019), (10_000, 0.01, 1e-4, 0.999369),
            (50_000, 4.4721e-3, 2e-5, 0.999826), (115_000, 2.9488e-3, 8.6957e-6, 0.9999105),
            (255_000, 1.9803e-3, 3.9216e-6, 0.9999527),
        ]
        let schedule = Schedule.palm()
        let optimizer = Adafactor.palm(Linear(1, 1))
        for row in table {
            let rate = schedule.value(at: row.step)
            #expect(abs(rate - row.rate) < 1e-4 * row.rate)
            #expect(abs(rate * rate - row.decay) < 1e-4 * row.decay)
            #expect(abs(optimizer.beta2(at: row.step) - row.beta2) < 1e-6)
        }
        #expect(schedule.value(at: 40_000) == 0.005)
    }

    @Test func constant() {
        #expect(Schedule.constant(0.5).value(at: 1) == 0.5)
        let warm = Schedule.constant(0.5, warmupSteps: 4)
        #expect((1...6).map(warm.value(at:)) == [0.125, 0.25, 0.375, 0.5, 0.5, 0.5])
    }

    @Test func linear() {
        let schedule = Schedule.linear(peak: 1, warmupSteps: 2, totalSteps: 6, final: 0.5)
        #expect((1...8).map(schedule.value(at:)) == [0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.5, 0.5])
        #expect(Schedule.linear(peak: 1, totalSteps: 4).value(at: 1) == 0.75)
    }

    @Test func cosine() {
        let schedule = Schedule.cosine(peak: 2, warmupSteps: 10, totalSteps: 110, final: 0.2)
        #expect(schedule.value(at: 5) == 1)
        #expect(schedule.value(at: 10) == 2)
        #expect(abs(schedule.value(at: 35) - (0.2 + 1.8 * (1 + cos(Double.pi / 4)) / 2)) < 1e-12)
        #expect(abs(schedule.value(at: 60) - 1.1) < 1e-12)
        #expect(schedule.value(at: 110) == 0.2 && schedule.value(at: 1000) == 0.2)
    }

    @Test func inverseSquareRoot() {
        let schedule = Schedule.inverseSquareRoot(peak: 0.01, warmupSteps: 1000)
        #expect(schedule.value(at: 500) == 0.005)
        #expect(schedule.value(at: 1000) == 0.01)
        #expect(schedule.value(at: 4000) == 0.005)
    }

    @Test func others() {
        let steps = Schedule.step(8, factor: 0.5, every: 2)
        #expect((1...6).map(steps.value(at:)) == [8, 8, 4, 4, 2, 2])
        #expect(Schedule.lambda { Double($0 * $0) }.value(at: 3) == 9)
        let chained = Schedule.constant(1).followed(after: 2, by: .linear(from: 1, to: 0, steps: 2))
        #expect((1...5).map(chained.value(at:)) == [1, 1, 0.5, 0, 0])
        #expect(Schedule.constant(2).scaled(by: 3).value(at: 1) == 6)
    }
}
